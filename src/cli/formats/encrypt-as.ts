import { utf8 } from "../../bytes/index.ts";
import { encryptCms, encryptJwe } from "../../formats/index.ts";
import type { CommandContext } from "../context.ts";
import { LIMIT, readInput, readWhole } from "../input/files.ts";
import { deliver, encode, type Encoding } from "../output/encoding.ts";
import { UsageError } from "../output/failures.ts";
import { asCommandErrors } from "./errors.ts";
import type { EncryptedFormat } from "./options.ts";
import { readCertificates } from "./sign-as.ts";

interface Options {
  readonly certificate: readonly string[];
  readonly encoding?: Encoding;
  readonly output?: string;
}

/** `encrypt --as`: encrypts a file for the holders of certificates, on this machine. */
export async function encryptAs(
  context: CommandContext,
  as: EncryptedFormat,
  { certificate: files, encoding, output }: Options,
  file: string | undefined,
): Promise<void> {
  const { environment, signal, print } = context;
  // Of a file with a chain, the first certificate is the recipient's.
  const recipients = await Promise.all(
    files.map(async (name) => readCertificates(await readWhole(name, signal, LIMIT.KEY), name).slice(0, 1)),
  );
  const [first, ...others] = recipients.flat();
  if (!first) throw new UsageError("name the recipient's certificate: --certificate");
  if (as === "jwe" && others.length > 0) throw new UsageError("a JWE has one recipient here; give one --certificate");
  const data = await readInput(file, environment);
  const encrypting =
    as === "jwe"
      ? encryptJwe(first.publicKey, data).then((jwe) => utf8(`${jwe}\n`))
      : encryptCms([first, ...others], data);
  const message = await asCommandErrors(file ?? "standard input", encrypting);
  const toFile = output !== undefined && output !== "-";
  const isText = as === "jwe";
  if (!print.json || toFile) await deliver(message, encoding, output, context, { mayBeText: isText });
  if (!print.json) return;
  print.document({
    as,
    recipients: [first, ...others].map(({ subject }) => subject),
    ...(toFile ? { output } : { message: isText ? Buffer.from(message).toString().trim() : encode(message, "base64") }),
  });
}
