import { DataError, utf8, wipe } from "../bytes/index.ts";
import { TokenError } from "../tokens/parts.ts";
import { isFor, unwrapFileKey, type UnwrappingKey, wrapFileKey } from "./file-key.ts";
import { type AgeKey, decodeIdentity, decodeRecipient } from "./recipient.ts";
import type { Stanza, StanzaStream } from "./stanza.ts";

/** Most recipients, identities and files in one call. */
const MOST = 4096;

/** The state machine recipient-v1: encrypts the keys of files. No card is needed. */
export async function serveRecipients(stream: StanzaStream): Promise<void> {
  const keys: AgeKey[] = [];
  const fileKeys: Uint8Array[] = [];
  const problems: (readonly [readonly string[], string])[] = [];
  let [recipients, identities] = [0, 0];
  for (let stanza = await phase(stream); stanza; stanza = await phase(stream)) {
    const { args, body } = stanza;
    const [command, text = ""] = args;
    if (command === "add-recipient") collect(["recipient", String(recipients++)], decodeRecipient, text);
    else if (command === "add-identity") collect(["identity", String(identities++)], decodeIdentity, text);
    else if (command === "wrap-file-key") fileKeys.push(body);
    if (keys.length + fileKeys.length > MOST) throw new DataError(`age: more than ${MOST} keys`);
  }
  function collect(what: readonly string[], decode: (text: string) => AgeKey, text: string): void {
    try {
      keys.push(decode(text));
    } catch (error) {
      if (!(error instanceof DataError)) throw error;
      problems.push([what, error.message]);
    }
  }
  for (const [what, message] of problems) await say(stream, ["error", ...what], message);
  if (problems.length === 0) {
    for (const [index, fileKey] of fileKeys.entries()) {
      for (const key of keys) {
        const { args, body } = await wrapFileKey(key, fileKey);
        await stream.exchange(["recipient-stanza", String(index), ...args], body);
      }
    }
  }
  for (const fileKey of fileKeys) wipe(fileKey);
  stream.write(["done"]);
}

/** How a plugin talks to the user, through age. */
export interface PluginUser {
  /** @returns The secret, which the caller wipes; undefined if the user gives none. */
  ask(question: string): Promise<Uint8Array | undefined>;
  tell(message: string): Promise<void>;
}

/** Finds the key of an identity on the cards that are in. @throws {TokenError} NO_OBJECT. */
export type FindKey = (identity: AgeKey, user: PluginUser) => Promise<UnwrappingKey>;

interface Wanted {
  readonly file: string;
  readonly index: number;
  readonly stanza: Stanza;
}

/** The state machine identity-v1: decrypts the keys of files with keys of cards. */
export async function serveIdentities(stream: StanzaStream, find: FindKey): Promise<void> {
  const identities: AgeKey[] = [];
  const problems: (readonly [string, string])[] = [];
  const wanted: Wanted[] = [];
  const counts = new Map<string, number>();
  let count = 0;
  for (let stanza = await phase(stream); stanza; stanza = await phase(stream)) {
    const [command, first = "", ...args] = stanza.args;
    if (command === "add-identity") {
      const number = String(count++);
      try {
        identities.push(decodeIdentity(first));
      } catch (error) {
        if (!(error instanceof DataError)) throw error;
        problems.push([number, error.message]);
      }
    } else if (command === "recipient-stanza") {
      const index = counts.get(first) ?? 0;
      counts.set(first, index + 1);
      wanted.push({ file: first, index, stanza: { args, body: stanza.body } });
    }
    if (count + wanted.length > MOST) throw new DataError(`age: more than ${MOST} keys`);
  }
  for (const [number, message] of problems) await say(stream, ["error", "identity", number], message);
  if (problems.length === 0) await unwrapAll(stream, find, identities, wanted);
  stream.write(["done"]);
}

async function unwrapAll(
  stream: StanzaStream,
  find: FindKey,
  identities: readonly AgeKey[],
  wanted: readonly Wanted[],
): Promise<void> {
  const user: PluginUser = {
    ask: async (question) => {
      const { args, body } = await stream.exchange(["request-secret"], utf8(question));
      return args[0] === "ok" ? body : undefined;
    },
    tell: async (message) => {
      await stream.exchange(["msg"], utf8(message));
    },
  };
  const done = new Set<string>();
  for (const [number, identity] of identities.entries()) {
    for (const { file, index, stanza } of wanted) {
      if (done.has(file) || !isFor(identity, stanza)) continue;
      try {
        const fileKey = await unwrapFileKey(identity, await find(identity, user), stanza);
        if (!fileKey) continue;
        await stream.exchange(["file-key", file], fileKey);
        wipe(fileKey);
        done.add(file);
      } catch (error) {
        const what = error instanceof DataError ? ["stanza", file, String(index)] : ["identity", String(number)];
        await say(stream, ["error", ...what], messageOf(error));
        if (!(error instanceof DataError)) return;
      }
    }
  }
}

const messageOf = (error: unknown): string =>
  error instanceof TokenError
    ? `${error.message} (${error.code})`
    : error instanceof Error
      ? error.message
      : String(error);

/** The next command of the first phase; undefined at its end. What is not known is passed over, as the protocol wants it. */
async function phase(stream: StanzaStream): Promise<Stanza | undefined> {
  const stanza = await stream.read();
  if (!stanza) throw new DataError("age: the input ended before its last command");
  return stanza.args[0] === "done" ? undefined : stanza;
}

async function say(stream: StanzaStream, args: readonly string[], message: string): Promise<void> {
  await stream.exchange(args, utf8(message));
}
