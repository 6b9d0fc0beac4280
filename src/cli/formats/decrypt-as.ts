import { wipe } from "../../bytes/index.ts";
import { decryptCms, decryptJwe } from "../../formats/index.ts";
import { TokenError } from "../../tokens/index.ts";
import type { CommandContext } from "../context.ts";
import { FOR, readInput, writeWhole } from "../input/files.ts";
import { choosePrivateKey, openSessionFor, readSelection, type SelectionOptions, USE } from "../input/selection.ts";
import { deliver, encode, type Encoding } from "../output/encoding.ts";
import { NotFoundError } from "../output/failures.ts";
import type { AnySession, ObjectEntry } from "../session.ts";
import { asCommandErrors } from "./errors.ts";
import { type EncryptedFormat, refuseOptions } from "./options.ts";

interface Options extends SelectionOptions {
  readonly mechanism?: string;
  readonly hash?: string;
  readonly encoding?: Encoding;
  readonly output?: string;
}

/** `decrypt --as`: decrypts a message that says itself how it is encrypted. */
export async function decryptAs(
  context: CommandContext,
  as: EncryptedFormat,
  options: Options,
  uri: string | undefined,
  file: string | undefined,
): Promise<void> {
  refuseOptions(options, ["mechanism", "hash"], "has no effect with --as; the message says it");
  const { signal, print } = context;
  const message = await readInput(file, context.environment);
  const selection = readSelection(options, uri);
  const session = await openSessionFor(context, selection, uri);
  const key = session.key(await keyFor(session, selection));
  const decrypting =
    as === "jwe"
      ? decryptJwe(key, Buffer.from(message).toString("latin1"), { signal })
      : key
          .certificate({ signal })
          .catch(unlessMissing)
          .then((certificate) => decryptCms(key, message, { signal, ...(certificate && { certificate }) }));
  const plaintext = await asCommandErrors(file ?? "standard input", decrypting);
  try {
    const { output, encoding } = options;
    if (!print.json) await deliver(plaintext, encoding, output, context, { mode: FOR.USER, mayBeText: true });
    else if (output === undefined) print.document({ as, plaintext: encode(plaintext, "base64") });
    else {
      await writeWhole(output, plaintext, { mode: FOR.USER, signal });
      print.document({ as, output });
    }
  } finally {
    wipe(plaintext);
  }
}

/** The key that is named; otherwise the only one that decrypts, or else the only one that agrees on secrets. */
async function keyFor(session: AnySession, selection: ReturnType<typeof readSelection>): Promise<ObjectEntry> {
  try {
    return await choosePrivateKey(session, selection, USE.decrypt);
  } catch (error) {
    if (!(error instanceof NotFoundError)) throw error;
    return choosePrivateKey(session, selection, USE.derive);
  }
}

function unlessMissing(error: unknown): undefined {
  if (!(error instanceof TokenError && error.is("NO_OBJECT", "SEVERAL_OBJECTS"))) throw error;
}
