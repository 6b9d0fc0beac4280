import { utf8 } from "../bytes/index.ts";

/** As much of `text` as fits into `bytes` bytes of UTF-8: whole characters, no blanks at the end, no control characters. */
export function fitText(text: string, bytes: number): string {
  let fitted = "";
  let length = 0;
  for (const character of text.replace(/\p{Cc}/gu, " ")) {
    length += utf8(character).length;
    if (length > bytes) break;
    fitted += character;
  }
  return fitted.trimEnd();
}
