import { type Command, Option } from "commander";
import { UsageError } from "../output/failures.ts";

/** Formats of signed documents. */
export const SIGNED_FORMATS = ["cms", "cades", "smime", "pdf", "jws", "jwt", "cose", "xml", "authenticode"] as const;
export type SignedFormat = (typeof SIGNED_FORMATS)[number];

/** Formats of encrypted messages. */
export const ENCRYPTED_FORMATS = ["cms", "jwe"] as const;
export type EncryptedFormat = (typeof ENCRYPTED_FORMATS)[number];

export interface SignAsOptions {
  readonly as?: SignedFormat;
  readonly certificate?: string;
  readonly enclosed?: true;
  readonly timestamp?: string;
  readonly header?: string;
  readonly alg?: string;
  readonly reason?: string;
  readonly visible?: string;
  readonly strict?: true;
  readonly jobs?: number;
}

export function signAsOptions(command: Command): Command {
  return command
    .addOption(
      new Option("--as <format>", "write a signed document of this format; several files may be named").choices(
        SIGNED_FORMATS,
      ),
    )
    .option("--certificate <file>", "with --as: the key's certificate and its issuers, in place of those on the card")
    .option("--enclosed", "with --as cms, cades or smime: the message holds the file; default: it stays outside")
    .option("--timestamp <url>", "with --as cms, cades, smime, pdf or authenticode: ask this time-stamping authority")
    .option("--alg <name>", "with --as jws, jwt or cose: the algorithm, such as PS256; default: that of the key")
    .option("--header <json>", 'with --as jws or jwt: more of the header, such as {"kid":"1"}')
    .option("--reason <text>", "with --as pdf: why the document is signed")
    .option(
      "--visible <place>",
      "with --as pdf: show the signature, at left,bottom,right,top in points or page:left,...",
    )
    .option("--strict", "with --as: refuse a certificate that has expired or is for another use")
    .option("--jobs <number>", "with --as: use up to this many cards that hold the same key", readJobs);
}

export interface VerifyAsOptions {
  readonly as?: SignedFormat;
  readonly trust?: string;
  readonly output?: string;
}

export function verifyAsOptions(command: Command): Command {
  return command
    .addOption(new Option("--as <format>", "verify a signed document of this format").choices(SIGNED_FORMATS))
    .option("--trust <file>", "with --as: certificates, PEM, to which the signer's must lead")
    .option("--output <file>", "with --as: write what was signed there, if the document holds it");
}

function readJobs(text: string): number {
  const jobs = /^\d{1,3}$/u.test(text) ? Number(text) : 0;
  if (jobs < 1) throw new UsageError("--jobs is a whole number from 1 to 999");
  return jobs;
}

/** Names of options as the command line has them. */
const flag = (name: string): string => `--${name.replace(/[A-Z]/gu, (letter) => `-${letter.toLowerCase()}`)}`;

/** Refuses options that have no effect. @throws {UsageError}. */
export function refuseOptions(options: object, names: readonly string[], why: string): void {
  for (const name of names) {
    if (Reflect.get(options, name) !== undefined) throw new UsageError(`${flag(name)} ${why}`);
  }
}

/** Options that are for --as only. */
export const ONLY_AS = [
  "certificate",
  "enclosed",
  "timestamp",
  "alg",
  "header",
  "reason",
  "visible",
  "strict",
  "jobs",
] as const satisfies readonly (keyof SignAsOptions)[];
