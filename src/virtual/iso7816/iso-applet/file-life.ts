import { SW } from "../../../apdu/index.ts";
import { ByteReader } from "../../../bytes/index.ts";
import { Refusal } from "../../refusal.ts";
import type { CardCommand } from "../../transport.ts";
import { createFile as create, removeFile } from "../file-life.ts";
import type { CardFile, DedicatedFile } from "../file.ts";
import type { IsoContext } from "../make.ts";

/** CREATE FILE: directories and transparent files, each with an identifier that nothing else on the card has (6984). */
export function createFile(context: IsoContext, command: CardCommand): Uint8Array {
  const { masterFile } = context.contents;
  return create(context, command, ({ kind, id }) => {
    const isKnown = kind === "df" || kind === "transparent";
    if (!isKnown || masterFile.id === id || find([masterFile], id)) throw new Refusal(SW.REFERENCE_DATA_NOT_USABLE);
  });
}

/** DELETE FILE by an identifier, wherever the file is. */
export function deleteFile(context: IsoContext, { p1, p2, data }: CardCommand): Uint8Array {
  if (p1 !== 0 || p2 !== 0) throw new Refusal(SW.INCORRECT_P1_P2);
  if (data.length !== 2) throw new Refusal(SW.WRONG_LENGTH);
  const found = find([context.contents.masterFile], new ByteReader(data).u16());
  if (!found) throw new Refusal(SW.FILE_NOT_FOUND);
  removeFile(context, found.path, found.file);
  return new Uint8Array();
}

/** A file anywhere below the last directory of `path`, with the directories above it. */
function find(
  path: readonly DedicatedFile[],
  id: number,
): { readonly path: readonly DedicatedFile[]; readonly file: CardFile } | undefined {
  for (const file of path.at(-1)?.files ?? []) {
    if (file.id === id) return { path, file };
    const deeper = file.kind === "df" ? find([...path, file], id) : undefined;
    if (deeper) return deeper;
  }
  return undefined;
}
