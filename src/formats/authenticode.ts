import { concat } from "../bytes/index.ts";
import { Hasher } from "../crypto/index.ts";
import type { CallOptions } from "../async/index.ts";
import { TokenError } from "../tokens/index.ts";
import { FormatError, parsing } from "./error.ts";
import { buffer, type CmsHash, HASHES } from "./pki.ts";
import { loadProgramLibrary, type ProgramFile, type ProgramLibrary, type ProgramSigner } from "./program-library.ts";
import { type CertificateOptions, signingCertificate } from "./signing-certificate.ts";
import type { SigningKey } from "./signing-key.ts";
import { answerFor, type Timestamp } from "./timestamp.ts";

export interface AuthenticodeOptions extends CertificateOptions, CallOptions {
  /** Default: SHA-256. */
  readonly hash?: CmsHash;
  /** A time-stamping authority: without it the signature ends with its certificate. */
  readonly timestamp?: Timestamp;
  /** Whether a signature that is there is replaced. Default: false. */
  readonly replace?: boolean;
}

/** Bytes to whose multiple the signature is filled up (PE format, "The Attribute Certificate Table"). */
const ALIGNMENT = 8;
/** Number of the data directory that holds signatures ("Certificate Table" of the PE format). */
const CERTIFICATE_TABLE = 4;

/**
 * Signs a program or library of Windows (PE) with Authenticode. The certificate should be for code signing.
 * @returns The signed file.
 * @throws {FormatError} ALREADY_SIGNED without `replace`; MALFORMED; TIMESTAMP; CERTIFICATE_UNFIT with `strict`; LIBRARY_MISSING.
 * @throws {TokenError} KEY_CANNOT for a key that is not RSA; as signCms.
 */
export async function signAuthenticode(
  key: SigningKey,
  program: Uint8Array,
  options: AuthenticodeOptions = {},
): Promise<Uint8Array> {
  const { signal, hash = "SHA-256", timestamp, replace = false } = options;
  if (!Object.hasOwn(HASHES, hash)) {
    throw new TokenError("BAD_INPUT", `no hash "${hash}"; there are ${Object.keys(HASHES).join(", ")}`);
  }
  const { name } = HASHES[hash];
  const library = await loadProgramLibrary();
  const executable = readProgram(library, program, replace);
  const { algorithm } = await key.publicKey({ signal });
  if (algorithm.type !== "rsa") {
    throw new TokenError("KEY_CANNOT", "Authenticode is made with RSA keys here; this key is on a curve");
  }
  const { certificate, chain } = await signingCertificate(key, options, "code");
  let signature = new Uint8Array();
  const signer: ProgramSigner = {
    getDigestAlgorithm: () => name,
    getEncryptionAlgorithm: () => "rsa",
    getCertificateData: () => [certificate, ...chain].map(({ der }) => buffer(der)),
    digestData: (parts) => {
      const hasher = new Hasher(name);
      for (const part of partsOf(parts)) hasher.update(part);
      return Promise.resolve(Uint8Array.from(hasher.digest()));
    },
    signData: async (parts) => {
      signature = Uint8Array.from(await key.sign(concat(...partsOf(parts)), { hash, signal }));
      return signature;
    },
    ...(timestamp !== undefined && {
      timestampData: async (request: ArrayBuffer) =>
        buffer(await answerFor(new Uint8Array(request), signature, timestamp, { signal })),
    }),
  };
  return new Uint8Array(await library.generateExecutableWithSign(executable, signer, ALIGNMENT));
}

function readProgram({ NtExecutable }: ProgramLibrary, program: Uint8Array, replace: boolean): ProgramFile {
  const executable = parsing("the program", () => NtExecutable.from(buffer(program), { ignoreCert: true }));
  const { size } = executable.newHeader.optionalHeaderDataDirectory.get(CERTIFICATE_TABLE);
  if (size === 0 || replace) return executable;
  throw new FormatError("ALREADY_SIGNED", "the program is signed; a new signature would replace that one");
}

function partsOf(parts: Iterator<ArrayBuffer, void>): Uint8Array[] {
  const found: Uint8Array[] = [];
  for (let next = parts.next(); next.done !== true; next = parts.next()) found.push(new Uint8Array(next.value));
  return found;
}
