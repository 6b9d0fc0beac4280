import { type Command, Option } from "commander";
import { encodePem, DataError, toHex } from "../../bytes/index.ts";
import { parseCertificate } from "../../asn1/index.ts";
import { digest, encodePublicKey, encodeSshPublicKey, parsePublicKey, publicKeyName } from "../../crypto/index.ts";
import { formatUri, objectUri } from "../../cryptoki/index.ts";
import { dayOf, shownName, summarise } from "../output/descriptions.ts";
import { action, type CommandContext } from "../context.ts";
import { certificateNames } from "../output/certificate-names.ts";
import { binaryOnTerminal, isText } from "../output/encoding.ts";
import type { Environment } from "../output/printer.ts";
import { UsageError } from "../output/failures.ts";
import { writeWhole } from "../input/files.ts";
import { examples } from "../input/options.ts";
import { chooseObject, openSessionFor, readSelection, type SelectionOptions } from "../input/selection.ts";
import type { ObjectEntry, AnySession } from "../session.ts";

const FORMATS = ["pem", "der", "ssh", "text"] as const;
type Format = (typeof FORMATS)[number];

interface ReadOptions extends SelectionOptions {
  readonly format?: Format;
  readonly output?: string;
  readonly login?: true;
}

export function addRead(program: Command, environment: Environment): void {
  const command = program
    .command("read")
    .summary("read a certificate, public key or data object")
    .description(
      "Read a certificate, a public key or a data object from a card. Only private data needs the PIN: --login.",
    )
    .argument("[uri]", "a PKCS #11 URI that describes the token, the object, or both")
    .option("--id <hex>", "the object's CKA_ID")
    .option("--label <text>", "its CKA_LABEL, or that of its key")
    .addOption(new Option("--type <type>", "what to read; default: cert").choices(["cert", "public", "data"]))
    .addOption(
      new Option(
        "--format <format>",
        "ssh: the public key for authorized_keys; text: a summary; default: pem; not for data",
      ).choices(FORMATS),
    )
    .option("--login", "give the PIN first, for private data")
    .option("--output <file>", "write it to this file")
    .addHelpText(
      "after",
      examples(
        ["cryptoki read --id 01 > certificate.pem", "a certificate"],
        ["cryptoki read --id 01 --format ssh >> ~/.ssh/authorized_keys", "its public key, for OpenSSH"],
        ["cryptoki read --id 02 --format text", "a summary of the certificate"],
        ["cryptoki read --type public --id 02 --format der --output key.der", "a public key"],
        ["cryptoki read --login --type data --label Notes", "a private note"],
      ),
    );
  action<ReadOptions, [string | undefined]>(command, environment, async (context, options, uri) => {
    const selection = readSelection(options, uri);
    const type = selection.type ?? "cert";
    if (type !== "cert" && type !== "public" && type !== "data")
      throw new UsageError(`read does not support --type ${type}`);
    const { format = "pem" } = options;
    if (type === "data" && options.format !== undefined)
      throw new UsageError("--format is for certificates and keys; data is written as it is");
    const session = await openSessionFor(context, selection, uri, [[type]]);
    if (options.login) await session.login();
    const object = await chooseObject(session, type, selection);
    const content = await load(session, object, type);
    const written = type === "data" ? content.der : render(content, format);
    if (options.output !== undefined && options.output !== "-")
      await writeWhole(options.output, written, { signal: context.signal });
    await show(context, { session, object, content, written, format, output: options.output });
  });
}

interface Shown {
  readonly session: AnySession;
  readonly object: ObjectEntry;
  readonly content: Content;
  readonly written: Uint8Array | string;
  readonly format: Format;
  readonly output: string | undefined;
}

/** Prints what was read, unless a file has it. */
async function show({ print, environment }: CommandContext, shown: Shown): Promise<void> {
  const { session, object, content, written, format, output } = shown;
  if (print.json) print.document(document(content, formatUri(objectUri(await session.tokenInfo(), object)), object));
  else if (output === undefined || output === "-") {
    if (format === "text" && content.type !== "data") print.pairs(pairsOf(content));
    else if (typeof written === "string") print.line(written.trimEnd());
    else if (environment.stdout.isTTY !== true || (content.type === "data" && isText(written)))
      await print.bytes(written);
    else throw binaryOnTerminal();
  }
}

interface Content {
  readonly type: "cert" | "public" | "data";
  readonly der: Uint8Array;
}

async function load(session: AnySession, object: ObjectEntry, type: Content["type"]): Promise<Content> {
  const der =
    type === "public"
      ? ((await session.publicKeyInfo(object.handle)) ?? encodePublicKey(await session.publicKey(object)))
      : await session.value(object.handle);
  return { type, der };
}

function render(content: Content, format: Format): Uint8Array | string {
  switch (format) {
    case "der":
      return content.der;
    case "pem":
      return encodePem(content.type === "cert" ? "CERTIFICATE" : "PUBLIC KEY", content.der);
    case "ssh":
      return `${encodeSshPublicKey(parsePublicKey(publicKeyOf(content)))}\n`;
    case "text":
      return `${pairsOf(content)
        .map(([name, value]) => `${name}: ${value}`)
        .join("\n")}\n`;
  }
}

const publicKeyOf = ({ type, der }: Content): Uint8Array =>
  type === "cert" ? parseCertificate(der).subjectPublicKeyInfo : der;

function pairsOf(content: Content): (readonly [string, string])[] {
  if (content.type !== "cert") return [["key", publicKeyName(content.der)], ...keyFingerprints(content)];
  const { subject, issuer, serialNumber, notBefore, notAfter, key, keyUsage, subjectAltName, sha256 } = summarise(
    content.der,
  );
  const { extendedKeyUsage, upn, fascn } = certificateNames(content.der);
  return [
    ["subject", shownName(subject)],
    ["issuer", shownName(issuer)],
    ["serial number", serialNumber],
    ["valid", `${dayOf(notBefore)} to ${dayOf(notAfter)}`],
    ["key", key],
    ["key usage", keyUsage.join(", ")],
    ...(extendedKeyUsage.length === 0 ? [] : ([["extended key usage", extendedKeyUsage.join(", ")]] as const)),
    ...upn.map((name) => ["UPN", name] as const),
    ...fascn.map((number) => ["FASC-N", number] as const),
    ...(subjectAltName === undefined ? [] : [["other names", subjectAltName] as [string, string]]),
    ["SHA-256", sha256],
    ...keyFingerprints(content),
  ];
}

/** Fingerprints of the public key: of its SubjectPublicKeyInfo, as key info shows it, and as OpenSSH writes it. */
function keyFingerprints(content: Content): [string, string][] {
  const { ssh } = sshOf(content);
  const blob = ssh === undefined ? undefined : Buffer.from(ssh.split(" ")[1] ?? "", "base64");
  const ofSsh = blob && Buffer.from(digest("sha256", blob)).toString("base64").replace(/=+$/u, "");
  return [
    ["key SHA-256", toHex(digest("sha256", publicKeyOf(content)))],
    ...(ofSsh === undefined ? [] : [["SSH fingerprint", `SHA256:${ofSsh}`] as [string, string]]),
  ];
}

/** The key in OpenSSH's format, if OpenSSH supports its type. */
function sshOf(content: Content): { readonly ssh?: string } {
  try {
    return { ssh: encodeSshPublicKey(parsePublicKey(publicKeyOf(content))) };
  } catch (error) {
    if (error instanceof DataError) return {};
    throw error;
  }
}

/** An object as `--json` prints it. */
function document(content: Content, uri: string, { id, label }: ObjectEntry): object {
  const common = { type: content.type, id: toHex(id), label, uri };
  const value = Buffer.from(content.der).toString("base64");
  if (content.type === "data") return { ...common, value };
  return {
    ...common,
    der: value,
    ...sshOf(content),
    ...(content.type === "cert"
      ? { certificate: { ...summarise(content.der), ...certificateNames(content.der) } }
      : { key: publicKeyName(content.der) }),
  };
}
