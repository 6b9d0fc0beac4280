import { existsSync, statSync } from "node:fs";
import path from "node:path";
import { decodePem, toHex } from "../../bytes/index.ts";
import { formatUri, objectUri } from "../../cryptoki/index.ts";
import { type Key, TokenCertificate, TokenError } from "../../tokens/index.ts";
import type { CommandContext } from "../context.ts";
import { LIMIT, readFailure, readInput, readWhole, requireDataOnStdin, writeWhole } from "../input/files.ts";
import { choosePrivateKey, openSessionFor, readSelection, type SelectionOptions, USE } from "../input/selection.ts";
import { fittingTokens } from "../input/token.ts";
import { deliver, encode, type Encoding } from "../output/encoding.ts";
import { NotFoundError, UsageError } from "../output/failures.ts";
import { openInput } from "../output/printer.ts";
import { Progress } from "../output/progress.ts";
import { type AnySession, type ObjectEntry, TokenSession } from "../session.ts";
import { asCommandErrors } from "./errors.ts";
import { ONLY_AS, refuseOptions, type SignAsOptions, type SignedFormat } from "./options.ts";
import { FORMATS, type SigningFormat, type SigningInput } from "./signing.ts";

interface Options extends SelectionOptions, SignAsOptions {
  readonly mechanism?: string;
  readonly hash?: string;
  readonly format?: string;
  readonly encoding?: Encoding;
  readonly output?: string;
}

/** A key, and what a document says of it. */
interface Signer {
  readonly session: AnySession;
  readonly entry: ObjectEntry;
  readonly key: Key;
}

/** `sign --as`: signs files as documents of a format. The PIN is asked for once, however many files there are. */
export async function signAs(
  context: CommandContext,
  as: SignedFormat,
  options: Options,
  uri: string | undefined,
  files: readonly string[],
): Promise<void> {
  const format = FORMATS[as];
  refuseOptions(options, ["mechanism", "format"], `has no effect with --as; ${as} has an algorithm of its own`);
  const foreign = [...ONLY_AS, "hash" as const].filter(
    (name) => !["certificate", "strict", "jobs"].includes(name) && !format.options.includes(name),
  );
  refuseOptions(options, foreign, `is not for --as ${as}`);
  format.check?.(options);
  const many = files.length > 1;
  const outputs = many ? outputsFor(context, format, options, files) : [];
  const [signer, ...others] = await findSigners(context, options, uri);
  if (!signer) throw new NotFoundError("no key that can sign");
  const { certificate, chain } = await certificatesFor(context, format, options, signer);
  const warned = new Set<string>();
  const onWarning = (warning: string): void => {
    if (!warned.has(warning)) context.warn(warning);
    warned.add(warning);
  };
  const { signal } = context;
  const force = context.options.force ? { force: true as const } : {};
  const inputFor = (key: Key): SigningInput => ({
    key,
    certificate,
    chain,
    onWarning,
    signal,
    options: { ...options, ...force },
  });
  if (!many) {
    const [file] = files;
    const signed = await signFile(context, format, inputFor(signer.key), file);
    await tellOne(context, as, format, options, signer, signed);
    return;
  }
  // One question after the other, before the cards work at the same time.
  if (others.length > 0) for (const { session } of [signer, ...others]) await session.login();
  let done = 0;
  const progress = new Progress(
    context.environment,
    context.print.json,
    () => `${done} of ${files.length} files signed`,
  );
  const left = files.map((file, index) => ({ file, output: outputs[index] ?? "" }));
  const work = async ({ key }: Signer): Promise<void> => {
    for (let next = left.shift(); next; next = left.shift()) {
      const signed = await signFile(context, format, inputFor(key), next.file);
      await writeWhole(next.output, signed, { signal });
      done += 1;
    }
  };
  try {
    await Promise.all([signer, ...others].map(work));
  } finally {
    left.length = 0;
    progress.end();
  }
  const results = files.map((input, index) => ({ input, output: outputs[index] }));
  context.print.done(`Signed ${files.length} files`, { as, key: await describeKey(signer), files: results });
}

async function describeKey({ session, entry }: Signer): Promise<object> {
  return { id: toHex(entry.id), label: entry.label, uri: formatUri(objectUri(await session.tokenInfo(), entry)) };
}

async function tellOne(
  context: CommandContext,
  as: SignedFormat,
  format: SigningFormat,
  { output, encoding }: Options,
  signer: Signer,
  signed: Uint8Array,
): Promise<void> {
  const toFile = output !== undefined && output !== "-";
  const { print } = context;
  if (!print.json || toFile) await deliver(signed, encoding, output, context, { mayBeText: format.isText });
  if (!print.json) return;
  const document = format.isText
    ? { document: Buffer.from(signed).toString().trimEnd() }
    : { document: encode(signed, "base64") };
  print.document({ as, key: await describeKey(signer), ...(toFile ? { output } : document) });
}

/** The files that are written for many inputs. @throws {UsageError} if one exists, or would be written twice. */
function outputsFor(
  context: CommandContext,
  format: SigningFormat,
  options: Options,
  files: readonly string[],
): readonly string[] {
  const { output: folder } = options;
  if (options.encoding !== undefined) throw new UsageError("--encoding is for one file; name one, or leave it out");
  if (folder !== undefined && !isFolder(folder)) {
    throw new UsageError(`--output is a folder where several files are signed; ${folder} is none`);
  }
  const outputs = files.map((file) => {
    if (file === "-") throw new UsageError("standard input cannot be one of several files");
    const name = format.nameFor(file, options);
    return folder === undefined ? name : path.join(folder, path.basename(name));
  });
  for (const [index, output] of outputs.entries()) {
    if (outputs.indexOf(output) !== index) throw new UsageError(`two of the files would be written to ${output}`);
    if (files.includes(output)) throw new UsageError(`${output} is one of the files that are signed`);
    if (context.options.force !== true && existsSync(output)) {
      throw new UsageError(`${output} exists already; add --force to write over it`);
    }
  }
  return outputs;
}

const isFolder = (name: string): boolean => statSync(name, { throwIfNoEntry: false })?.isDirectory() === true;

async function signFile(
  context: CommandContext,
  format: SigningFormat,
  input: SigningInput,
  file: string | undefined,
): Promise<Uint8Array> {
  const name = file ?? "standard input";
  if (format.signStream && !input.options.enclosed) {
    const stream =
      file === undefined || file === "-"
        ? requireDataOnStdin(context.environment)
        : await openInput(file).catch((cause: unknown) => {
            throw readFailure(file, cause);
          });
    const reading = stream.once("error", () => undefined);
    return asCommandErrors(
      name,
      format.signStream(reading, input).catch((cause: unknown) => {
        throw stream.errored ? readFailure(name, stream.errored) : cause;
      }),
    );
  }
  const data = await readInput(file, context.environment);
  return asCommandErrors(name, format.sign(data, input));
}

/** The key that the command line names; with --jobs, also on other cards. */
async function findSigners(context: CommandContext, options: Options, uri: string | undefined): Promise<Signer[]> {
  const selection = readSelection(options, uri);
  const find = async (session: AnySession): Promise<Signer> => {
    const entry = await choosePrivateKey(session, selection, USE.sign);
    return { session, entry, key: session.key(entry) };
  };
  const jobs = options.jobs ?? 1;
  if (jobs === 1) return [await find(await openSessionFor(context, selection, uri))];
  const found: Signer[] = [];
  for (const token of await fittingTokens(context, uri)) {
    if (found.length === jobs) break;
    const session = await TokenSession.open(context, token, uri);
    const signer = await find(session).catch(unlessNotFound);
    if (signer && (await isSameKey(found[0], signer))) found.push(signer);
  }
  if (found.length === 0) throw new NotFoundError("no card holds the key");
  if (found.length < jobs)
    context.warn(`--jobs ${jobs}: ${found.length === 1 ? "one card holds" : `${found.length} cards hold`} the key`);
  return found;
}

function unlessNotFound(error: unknown): undefined {
  if (!(error instanceof NotFoundError)) throw error;
}

async function isSameKey(first: Signer | undefined, other: Signer): Promise<boolean> {
  if (!first) return true;
  return (await first.key.publicKey()).fingerprint() === (await other.key.publicKey()).fingerprint();
}

interface Certificates {
  readonly certificate: TokenCertificate | undefined;
  readonly chain: readonly TokenCertificate[];
}

/** Of the file that is named, else of the card: the key's certificate and its issuers. */
async function certificatesFor(
  { signal }: CommandContext,
  format: SigningFormat,
  { certificate: file }: Options,
  { session, key }: Signer,
): Promise<Certificates> {
  if (file !== undefined) {
    const [certificate, ...chain] = readCertificates(await readWhole(file, signal, LIMIT.KEY), file);
    return { certificate, chain };
  }
  if (!format.needsCertificate) return { certificate: undefined, chain: [] };
  try {
    const [certificate, ...chain] = await session.certificates.chain(await key.certificate({ signal }), { signal });
    return { certificate, chain };
  } catch (cause) {
    if (!(cause instanceof TokenError && cause.is("NO_OBJECT"))) throw cause;
    throw new NotFoundError(`${cause.message}; name a file with --certificate`, { cause });
  }
}

/** The certificates of a file: PEM, or one in DER. @throws {UsageError}. */
export function readCertificates(bytes: Uint8Array, file: string): TokenCertificate[] {
  const text = Buffer.from(bytes).toString("latin1");
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/gu);
  try {
    if (blocks)
      return blocks.map((block) => TokenCertificate.read(decodePem("CERTIFICATE", block) ?? new Uint8Array()));
    return [TokenCertificate.read(bytes)];
  } catch (cause) {
    throw new UsageError(`${file} holds no certificate`, { cause });
  }
}
