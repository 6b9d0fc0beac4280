import path from "node:path";
import type { Readable } from "node:stream";
import * as formats from "../../formats/index.ts";
import type { CertificateInput, CmsHash, JwsAlgorithm } from "../../formats/index.ts";
import { fromUtf8, tryParse, utf8 } from "../../bytes/index.ts";
import type { Key } from "../../tokens/index.ts";
import { UsageError } from "../output/failures.ts";
import type { SignAsOptions, SignedFormat } from "./options.ts";

/** What a format is made of. */
export interface SigningInput {
  readonly key: Key;
  readonly certificate: CertificateInput | undefined;
  readonly chain: readonly CertificateInput[];
  readonly onWarning: (warning: string) => void;
  readonly signal: AbortSignal;
  readonly options: SignAsOptions & { readonly hash?: string; readonly force?: true };
}

/** A format of signed documents, as the command makes it. */
export interface SigningFormat {
  /** The options that it takes, beside those of every format. */
  readonly options: readonly (keyof SignAsOptions | "hash")[];
  /** Refuses values of options before a card is asked. @throws {UsageError}. */
  readonly check?: (options: SigningInput["options"]) => void;
  readonly needsCertificate: boolean;
  /** Whether the result is text, which may be shown on a terminal. */
  readonly isText: boolean;
  /** The name of the result for an input. */
  readonly nameFor: (file: string, options: SignAsOptions) => string;
  /** For data of any length; otherwise `sign` gets it whole. */
  readonly signStream?: (data: Readable, input: SigningInput) => Promise<Uint8Array>;
  readonly sign: (data: Uint8Array, input: SigningInput) => Promise<Uint8Array>;
}

/** "letter.pdf" becomes "letter.signed.pdf". */
function inserted(file: string): string {
  const { dir, name, ext } = path.parse(file);
  return path.join(dir, `${name}.signed${ext}`);
}

const HASHES: Readonly<Record<string, CmsHash>> = { sha256: "SHA-256", sha384: "SHA-384", sha512: "SHA-512" };

/** @throws {UsageError} for another hash. */
function hashOf({ hash }: SigningInput["options"]): { readonly hash?: CmsHash } {
  if (hash === undefined) return {};
  const found = HASHES[hash];
  if (found) return { hash: found };
  throw new UsageError(`--hash ${hash} is not for this format; it takes ${Object.keys(HASHES).join(", ")}`);
}

const common = ({
  certificate,
  chain,
  onWarning,
  signal,
  options,
}: SigningInput): formats.CertificateOptions & { readonly signal: AbortSignal } => ({
  ...(certificate !== undefined && { certificate }),
  chain,
  onWarning,
  signal,
  ...(options.strict && { strict: true }),
});

const stamped = ({ timestamp }: SignAsOptions): { readonly timestamp?: string } =>
  timestamp === undefined ? {} : { timestamp };

function cms(cades: boolean): SigningFormat {
  const sign = (data: Uint8Array | Readable, input: SigningInput): Promise<Uint8Array> =>
    formats.signCms(input.key, data, {
      ...common(input),
      ...hashOf(input.options),
      ...stamped(input.options),
      cades,
      detached: !input.options.enclosed,
    });
  return {
    options: ["enclosed", "timestamp", "hash"],
    check: hashOf,
    needsCertificate: true,
    isText: false,
    nameFor: (file, { enclosed }) => `${file}.${enclosed ? "p7m" : "p7s"}`,
    signStream: sign,
    sign,
  };
}

/** Members of a JOSE header. @throws {UsageError}. */
function headerOf({ header }: SignAsOptions): Readonly<Record<string, unknown>> {
  if (header === undefined) return {};
  return jsonObject(header, "--header");
}

function jsonObject(text: string, what: string): Readonly<Record<string, unknown>> {
  const value: unknown = tryJson(text);
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return { ...value };
  throw new UsageError(`${what} is no JSON object`);
}

function tryJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

const algOf = ({ alg }: SignAsOptions): { readonly alg?: JwsAlgorithm } =>
  // Another name is refused by the format.
  alg === undefined ? {} : { alg: alg as JwsAlgorithm };

const jws: SigningFormat = {
  options: ["alg", "header"],
  check: headerOf,
  needsCertificate: false,
  isText: true,
  nameFor: (file) => `${file}.jws`,
  sign: async (data, { key, options, signal }) =>
    utf8(`${await formats.signJws(key, data, { ...algOf(options), header: headerOf(options), signal })}\n`),
};

const jwt: SigningFormat = {
  ...jws,
  nameFor: (file) => `${file}.jwt`,
  sign: async (data, { key, options, signal }) => {
    const claims = jsonObject(tryParse(() => fromUtf8(data)) ?? "", "the file with the claims");
    return utf8(`${await formats.signJwt(key, claims, { ...algOf(options), header: headerOf(options), signal })}\n`);
  },
};

/** Left, bottom, right and top of a place, perhaps after the page. @throws {UsageError}. */
function placeOf({ visible }: SignAsOptions): { readonly visible?: formats.PdfPlace } {
  if (visible === undefined) return {};
  const [, page, ...numbers] = /^(?:(\d{1,5}):)?(-?\d+),(-?\d+),(-?\d+),(-?\d+)$/u.exec(visible) ?? [];
  const [left, bottom, right, top] = numbers.map(Number) as [number, number, number, number];
  if (!(right > left && top > bottom)) {
    throw new UsageError("--visible takes left,bottom,right,top in points, or page:left,bottom,right,top");
  }
  return { visible: { rectangle: [left, bottom, right, top], ...(page !== undefined && { page: Number(page) }) } };
}

const pdf: SigningFormat = {
  options: ["timestamp", "hash", "reason", "visible"],
  check: (options) => {
    hashOf(options);
    placeOf(options);
  },
  needsCertificate: true,
  isText: false,
  nameFor: inserted,
  sign: (data, input) => {
    const { options } = input;
    const reason = options.reason === undefined ? {} : { reason: options.reason };
    return formats.signPdf(input.key, data, {
      ...common(input),
      ...hashOf(options),
      ...stamped(options),
      ...placeOf(options),
      ...reason,
    });
  },
};

const smime: SigningFormat = {
  options: ["enclosed", "timestamp", "hash"],
  check: hashOf,
  needsCertificate: true,
  isText: true,
  nameFor: (file) => `${file}.eml`,
  sign: (data, input) => {
    const { options } = input;
    const enclosed = options.enclosed ? { enclosed: true } : {};
    return formats.signSmime(input.key, data, {
      ...common(input),
      ...hashOf(options),
      ...stamped(options),
      ...enclosed,
    });
  },
};

const authenticode: SigningFormat = {
  options: ["timestamp", "hash"],
  check: hashOf,
  needsCertificate: true,
  isText: false,
  nameFor: inserted,
  sign: (data, input) => {
    const { options } = input;
    const replace = options.force ? { replace: true } : {};
    return formats.signAuthenticode(input.key, data, {
      ...common(input),
      ...hashOf(options),
      ...stamped(options),
      ...replace,
    });
  },
};

const cose: SigningFormat = {
  options: ["alg"],
  needsCertificate: false,
  isText: false,
  nameFor: (file) => `${file}.cose`,
  sign: (data, { key, certificate, chain, options, signal }) =>
    formats.signCose(key, data, {
      ...algOf(options),
      chain: certificate === undefined ? [] : [certificate, ...chain],
      signal,
    }),
};

const xml: SigningFormat = {
  options: ["hash"],
  check: hashOf,
  needsCertificate: true,
  isText: true,
  nameFor: inserted,
  sign: (data, input) => formats.signXml(input.key, data, { ...common(input), ...hashOf(input.options) }),
};

export const FORMATS: Readonly<Record<SignedFormat, SigningFormat>> = {
  cms: cms(false),
  cades: cms(true),
  smime,
  pdf,
  jws,
  jwt,
  cose,
  xml,
  authenticode,
};
