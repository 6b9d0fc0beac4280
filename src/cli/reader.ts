import { PcscError, type ReaderState } from "../pcsc/index.ts";
import type { CommandContext } from "./context.ts";
import { NotFoundError, UsageError } from "./failure.ts";

/** Whether --reader names this one, by a part of its name in any case; without --reader every one is. */
export function wantsReader({ options }: CommandContext, name: string): boolean {
  return options.reader === undefined || name.toLowerCase().includes(options.reader.toLowerCase());
}

/** Why the list of readers is empty. */
export function noReader({ options }: CommandContext): Error {
  if (options.reader === undefined) return new PcscError("SCARD_E_NO_READERS_AVAILABLE");
  return new NotFoundError(`no reader whose name contains "${options.reader}"; see them with: cryptoki readers`);
}

/** Why none of the readers that --reader names has a card. */
export function noCard({ options }: CommandContext, wanted: readonly ReaderState[]): Error {
  const where = options.reader === undefined ? "any reader" : wanted.map(({ name }) => name).join(" or ");
  return new NotFoundError(`no card in ${where}; put one in`);
}

/**
 * The reader to use: the one that --reader names, or the only one with a card in it.
 * @throws {NotFoundError} if there is none; {@link UsageError} if there are several.
 */
export async function chooseReader(context: CommandContext): Promise<string> {
  const readers = await (await context.pcsc()).readers();
  const wanted = readers.filter(({ name }) => wantsReader(context, name));
  if (wanted.length === 0) throw noReader(context);
  const withCard = wanted.filter(({ present }) => present);
  const [first, ...more] = withCard;
  if (!first) throw noCard(context, wanted);
  const exact = withCard.find(({ name }) => name === context.options.reader);
  if (more.length === 0 || exact) return (exact ?? first).name;
  const candidates = withCard.map(({ name }) => name);
  throw new UsageError(`${withCard.length} readers have a card; choose one with --reader`, { candidates });
}
