import { isIP } from "node:net";
import { Option, type Command } from "commander";
import type * as x509 from "@peculiar/x509";
import type { Extension, JsonGeneralName, Name } from "@peculiar/x509";
import { loadX509, type X509 } from "../../certificates/index.ts";
import { UsageError } from "../output/failures.ts";

/** What a request or a self-signed certificate is to say. */
export interface ContentsOptions extends ExtensionOptions {
  readonly subject: string;
}

export interface ExtensionOptions {
  readonly san?: readonly string[];
  readonly for?: string;
  readonly keyUsage?: string;
  readonly extendedKeyUsage?: string;
}

/** Bits of the key usage extension by their words (RFC 5280 section 4.2.1.3). */
const KEY_USAGES = {
  "digital-signature": "digitalSignature",
  "non-repudiation": "nonRepudiation",
  "key-encipherment": "keyEncipherment",
  "data-encipherment": "dataEncipherment",
  "key-agreement": "keyAgreement",
} as const satisfies Readonly<Record<string, keyof typeof x509.KeyUsageFlags>>;
type KeyUsageWord = keyof typeof KEY_USAGES;

/** Purposes of the extended key usage extension (RFC 5280 section 4.2.1.12, RFC 4556 and Microsoft's for smart-card logon). */
const PURPOSES: Readonly<Record<string, string>> = {
  "client-auth": "1.3.6.1.5.5.7.3.2",
  "email-protection": "1.3.6.1.5.5.7.3.4",
  "smart-card-logon": "1.3.6.1.4.1.311.20.2.2",
  "ssh-client": "1.3.6.1.5.5.7.3.21",
};

interface Preset {
  readonly keyUsage: readonly KeyUsageWord[];
  readonly purposes: readonly string[];
}

const PRESETS: Readonly<Record<string, Preset>> = {
  "smart-card-logon": { keyUsage: ["digital-signature"], purposes: ["smart-card-logon", "client-auth"] },
  "client-login": { keyUsage: ["digital-signature"], purposes: ["client-auth"] },
  signing: { keyUsage: ["digital-signature", "non-repudiation"], purposes: [] },
};

export function contentsOptions(command: Command): Command {
  return extensionOptions(
    command.requiredOption("--subject <name>", 'the subject, such as "CN=Ada Lovelace,O=Example,C=NO"'),
  );
}

export function extensionOptions(command: Command): Command {
  return command
    .option(
      "--san <name>",
      "a subject alternative name: dns:…, email:…, upn:…, ip:… or uri:…; may be repeated",
      (text: string, before: readonly string[] | undefined): readonly string[] => [...(before ?? []), text],
    )
    .addOption(new Option("--for <use>", "key usage and extended key usage for this use").choices(Object.keys(PRESETS)))
    .option(
      "--key-usage <list>",
      `in place of that of --for: ${Object.keys(KEY_USAGES).join(", ")}, with commas between them`,
    )
    .option(
      "--extended-key-usage <list>",
      `in place of that of --for: ${Object.keys(PURPOSES).join(", ")}, or object identifiers, with commas between them`,
    );
}

/** What the options say, for the library; with the library, which was loaded for it. */
export interface Contents {
  readonly library: X509;
  readonly name: Name;
  readonly extensions: readonly Extension[];
}

/** @throws {UsageError} for a subject, or an extension, that there is not. */
export async function readContents(options: ContentsOptions): Promise<Contents> {
  const library = await loadX509();
  return { library, name: readSubject(library, options.subject), extensions: readExtensions(library, options) };
}

/**
 * The subject. @throws {UsageError} if it is none.
 */
export function readSubject(library: X509, text: string): Name {
  try {
    const name = new library.Name(text);
    if (name.toJSON().length > 0) return name;
  } catch (cause) {
    throw new UsageError(`--subject ${text}: write it as CN=Ada Lovelace,O=Example,C=NO`, { cause });
  }
  const what = text.trim() === "" ? "--subject is empty" : `--subject ${text} names no attribute`;
  throw new UsageError(`${what}; write it as CN=Ada Lovelace,O=Example,C=NO`);
}

/** The extensions that the options name. @throws {UsageError} for one that there is not, or that cannot be. */
export function readExtensions(library: X509, options: ExtensionOptions): Extension[] {
  const preset = options.for === undefined ? undefined : PRESETS[options.for];
  const names = (options.san ?? []).map(readAlternativeName);
  if (options.for === "smart-card-logon" && !names.some(({ type }) => type === "upn")) {
    throw new UsageError("--for smart-card-logon wants the user principal name: --san upn:ada@example.org");
  }
  const usages = options.keyUsage === undefined ? (preset?.keyUsage ?? []) : list(options.keyUsage).map(readKeyUsage);
  const purposes = options.extendedKeyUsage === undefined ? (preset?.purposes ?? []) : list(options.extendedKeyUsage);
  let flags = 0;
  for (const word of usages) flags |= library.KeyUsageFlags[KEY_USAGES[word]];
  try {
    return [
      // eslint-disable-next-line @typescript-eslint/no-unsafe-enum-assignment -- several bits are no member of the enumeration
      ...(flags === 0 ? [] : [new library.KeyUsagesExtension(flags, true)]),
      ...(purposes.length === 0 ? [] : [new library.ExtendedKeyUsageExtension(purposes.map(readPurpose))]),
      ...(names.length === 0 ? [] : [new library.SubjectAlternativeNameExtension(names)]),
    ];
  } catch (cause) {
    if (cause instanceof UsageError) throw cause;
    throw new UsageError(`--san ${(options.san ?? []).join(", ")}: one of them is no such name`, { cause });
  }
}

const list = (text: string): string[] => text.split(",").map((part) => part.trim());

const ALTERNATIVE_NAMES = { dns: "dns", email: "email", upn: "upn", ip: "ip", uri: "url" } as const;

function readAlternativeName(text: string): JsonGeneralName {
  const [, kind = "", value = ""] = /^([a-z]+):(.+)$/su.exec(text) ?? [];
  const type = Object.entries(ALTERNATIVE_NAMES).find(([word]) => word === kind)?.[1];
  if (type === undefined) throw new UsageError(`--san ${text}: write dns:, email:, upn:, ip: or uri: and the name`);
  if (type === "ip" && isIP(value) === 0) throw new UsageError(`--san ${text}: ${value} is no IP address`);
  if ((type === "email" || type === "upn") && !/^[^@\s]+@[^@\s]+$/u.test(value)) {
    throw new UsageError(`--san ${text}: write ${kind}:name@domain`);
  }
  return { type, value };
}

function readKeyUsage(word: string): KeyUsageWord {
  const known = Object.keys(KEY_USAGES) as KeyUsageWord[];
  const found = known.find((one) => one === word);
  if (found) return found;
  throw new UsageError(`--key-usage ${word}: there are ${known.join(", ")}`);
}

function readPurpose(word: string): string {
  const oid = Object.hasOwn(PURPOSES, word) ? PURPOSES[word] : undefined;
  if (oid !== undefined) return oid;
  if (/^[0-2](?:\.\d+)+$/u.test(word)) return word;
  throw new UsageError(
    `--extended-key-usage ${word}: there are ${Object.keys(PURPOSES).join(", ")}, and object identifiers`,
  );
}
