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

/** The end of `text`, where numbers of one maker differ: as much as fits into `bytes` bytes of UTF-8. Otherwise as {@link fitText}. */
export function fitEnd(text: string, bytes: number): string {
  const characters = Array.from(text.replace(/\p{Cc}/gu, " ").trimEnd());
  let start = characters.length;
  for (let length = 0; start > 0; start--) {
    length += utf8(characters[start - 1] ?? "").length;
    if (length > bytes) break;
  }
  return characters.slice(start).join("");
}
