import * as formats from "../../formats/index.ts";
import type { TokenCertificate } from "../../tokens/index.ts";
import type { PublicKey } from "../../tokens/index.ts";
import type { CommandContext } from "../context.ts";
import { LIMIT, readInput, readWhole, writeWhole } from "../input/files.ts";
import { UsageError } from "../output/failures.ts";
import { visible } from "../output/printer.ts";
import { asCommandErrors } from "./errors.ts";
import { refuseOptions, type SignedFormat, type VerifyAsOptions } from "./options.ts";
import { readCertificates } from "./sign-as.ts";

interface Options extends VerifyAsOptions {
  readonly signature?: string;
  readonly mechanism?: string;
  readonly hash?: string;
  readonly format?: string;
}

/** What was found out of a document whose signatures are right. */
interface Verified {
  readonly signers?: readonly formats.VerifiedSigner[];
  readonly content?: Uint8Array;
  readonly details?: Readonly<Record<string, unknown>>;
}

interface VerifyingInput {
  readonly document: Uint8Array;
  /** What a detached signature is for. */
  readonly content: Uint8Array | undefined;
  readonly trusted: readonly TokenCertificate[] | undefined;
  readonly publicKey: () => Promise<PublicKey>;
}

interface VerifyingFormat {
  /** Whether the signature may stand in a file of its own: --signature. */
  readonly mayBeDetached: boolean;
  /** Whether certificates are in the document; otherwise a key is named. */
  readonly hasCertificates: boolean;
  readonly verify: (input: VerifyingInput) => Promise<Verified>;
}

const trust = ({ trusted }: VerifyingInput): formats.TrustOptions => (trusted ? { trusted } : {});

const cms: VerifyingFormat = {
  mayBeDetached: true,
  hasCertificates: true,
  verify: (input) =>
    formats.verifyCms(input.document, { ...trust(input), ...(input.content && { content: input.content }) }),
};

const text = (document: Uint8Array): string => Buffer.from(document).toString("latin1").trim();

const jws: VerifyingFormat = {
  mayBeDetached: false,
  hasCertificates: false,
  verify: async ({ document, publicKey }) => {
    const { payload, header } = await formats.verifyJws(readJws(text(document)), await publicKey());
    return { content: payload, details: { header } };
  },
};

const jwt: VerifyingFormat = {
  ...jws,
  verify: async ({ document, publicKey }) => ({
    details: { claims: await formats.verifyJwt(text(document), await publicKey()) },
  }),
};

const cose: VerifyingFormat = {
  ...jws,
  verify: async ({ document, publicKey }) => ({
    content: (await formats.verifyCose(document, await publicKey())).payload,
  }),
};

/** The compact form, or the general one in JSON. */
function readJws(document: string): string | formats.GeneralJws {
  if (!document.startsWith("{")) return document;
  try {
    return JSON.parse(document) as formats.GeneralJws;
  } catch (cause) {
    throw new formats.FormatError("MALFORMED", "the document is no JSON", { cause });
  }
}

const pdf: VerifyingFormat = {
  mayBeDetached: false,
  hasCertificates: true,
  verify: async (input) => ({ signers: (await formats.verifyPdf(input.document, trust(input))).signatures }),
};

const xml: VerifyingFormat = { ...pdf, verify: (input) => formats.verifyXml(input.document, trust(input)) };

const smime: VerifyingFormat = { ...pdf, verify: (input) => formats.verifySmime(input.document, trust(input)) };

const FORMATS: Readonly<Partial<Record<SignedFormat, VerifyingFormat>>> = {
  cms,
  cades: cms,
  smime,
  pdf,
  jws,
  jwt,
  cose,
  xml,
};

/** `verify --as`. */
export async function verifyAs(
  context: CommandContext,
  as: SignedFormat,
  options: Options,
  file: string | undefined,
  publicKey: () => Promise<PublicKey>,
): Promise<void> {
  const format = FORMATS[as];
  if (!format) throw new UsageError(`${as} is not verified here; use osslsigncode verify`);
  refuseOptions(options, ["mechanism", "hash", "format"], `has no effect with --as; the document says it`);
  if (!format.mayBeDetached) refuseOptions(options, ["signature"], `is not for --as ${as}: the document holds it`);
  if (!format.hasCertificates) refuseOptions(options, ["trust"], `is not for --as ${as}, which is verified with a key`);
  const { signal, environment, print } = context;
  const trusted =
    options.trust === undefined
      ? undefined
      : readCertificates(await readWhole(options.trust, signal, LIMIT.KEY), options.trust);
  const named = await readInput(file, environment);
  const isDetached = options.signature !== undefined;
  const document = isDetached ? await readWhole(options.signature, signal) : named;
  const input: VerifyingInput = { document, content: isDetached ? named : undefined, trusted, publicKey };
  const verified = await asCommandErrors(file ?? "standard input", format.verify(input));
  const { output } = options;
  if (output !== undefined) {
    if (!verified.content) throw new UsageError("--output: the document holds no content of its own");
    await writeWhole(output, verified.content, { signal });
  }
  const { signers = [], details = {} } = verified;
  if (print.json) print.document({ valid: true, as, signers: signers.map(describe), ...details });
  else {
    print.line(`${print.colours.green("Valid")}: ${as}`);
    for (const signer of signers) for (const line of lines(signer)) print.line(`  ${visible(line)}`);
  }
}

function describe({ certificate, trusted, signingTime, timestamp }: formats.VerifiedSigner): object {
  const { subject, issuer, serialNumber, notAfter } = certificate;
  return {
    subject,
    issuer,
    // Without the head of the INTEGER.
    serialNumber: serialNumber.slice(4),
    notAfter: notAfter.toISOString(),
    key: certificate.publicKey.fingerprint(),
    trusted,
    signingTime: signingTime?.toISOString(),
    ...(timestamp && {
      timestamp: { time: timestamp.time.toISOString(), authority: timestamp.authority.subject },
    }),
  };
}

function lines({ certificate, trusted, signingTime, timestamp }: formats.VerifiedSigner): string[] {
  return [
    `signed by ${certificate.subject}${trusted ? ", which is trusted" : "; its certificate was not checked: --trust names the authorities"}`,
    ...(signingTime ? [`at ${signingTime.toISOString()}, as the signer says`] : []),
    ...(timestamp ? [`before ${timestamp.time.toISOString()}, as ${timestamp.authority.subject} says`] : []),
  ];
}
