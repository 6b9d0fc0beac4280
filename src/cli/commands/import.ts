import { type Command, Option } from "commander";
import { toHex, wipe } from "../../bytes/index.ts";
import { CKA, type Template } from "../../cryptoki/index.ts";
import { privateKeyTemplate } from "../../certificates/index.ts";
import { action, type CommandContext } from "../context.ts";
import { type KeyFileOptions, keyFileOption, openKeyFile } from "../input/key-file.ts";
import type { Environment } from "../output/printer.ts";
import { UsageError } from "../output/failures.ts";
import { hexArgument, readInput } from "../input/files.ts";
import { examples } from "../input/options.ts";
import {
  certificateTemplate,
  dataTemplate,
  type ImportType,
  publicKeyTemplate,
  wipeTemplate,
} from "../input/new-object.ts";
import { asAllowed, logIn, officerOption, type OfficerOptions, TokenSession } from "../session.ts";
import { chooseToken, uriAndFile } from "../input/token.ts";

interface ImportOptions extends OfficerOptions, KeyFileOptions {
  readonly type: ImportType;
  readonly id?: string;
  readonly label?: string;
  readonly application?: string;
  readonly objectId?: string;
  readonly private?: true;
  readonly yes?: true;
}

export function addImport(program: Command, environment: Environment): void {
  const command = officerOption(
    keyFileOption(
      program
        .command("import")
        .summary("write a certificate, key or data object on a card")
        .description(
          "Import a certificate, key or data object from a file, if the card allows it. The command asks for the PIN; if only the " +
            "security officer (SO) may write, as on PIV cards, use --so.",
        )
        .argument("[uri]", "a PKCS #11 URI of the token")
        .argument("[file]", "PEM or DER; any file for data; default: standard input")
        .addOption(
          new Option("--type <type>", "the type of the object in the file")
            .choices(["cert", "private", "public", "data"])
            .default("cert"),
        )
        .option("--id <hex>", "the CKA_ID (identifier); for a certificate, that of its key")
        .option("--label <text>", "the CKA_LABEL (name)")
        .option("--application <text>", "the CKA_APPLICATION (managing application) of a data object")
        .option("--object-id <oid>", "the CKA_OBJECT_ID of a data object, such as 2.16.840.1.101.3.7.2.48.1")
        .option("--private", "make the object private: visible only after login")
        .option("--yes", "write the certificate even if the card already holds it"),
    ),
  ).addHelpText(
    "after",
    examples(
      ["cryptoki import --id 01 certificate.pem", "a certificate beside its key"],
      [
        "cryptoki import --type private --id 45 key.pem",
        "a private key; with its certificates and a YubiKey's policies: key import",
      ],
      ["cryptoki import --so --id 01 certificate.pem", "on a PIV card, with the management key"],
    ),
  );
  action<ImportOptions, [string | undefined, string | undefined]>(
    command,
    environment,
    async (context, options, first, second) => {
      const { uri, file } = uriAndFile(first, second);
      if (options.type !== "data" && (options.application ?? options.objectId) !== undefined) {
        throw new UsageError("--application and --object-id work only with --type data");
      }
      const bytes = await readInput(file, context.environment);
      const template = await read(context, options, file, bytes);
      try {
        const session = await TokenSession.open(context, await chooseToken(context, uri), uri);
        if (options.type === "cert" && !options.yes) await refuseAgain(session, template);
        await logIn(session, options);
        const handle = await asAllowed(options, session.cryptoki.C_CreateObject(session.handle, template));
        // The security officer does not see private objects, not even the new one (PKCS#11 3.1 section 5.6.1).
        const isHidden = options.so && options.type === "private";
        const { id, label } = isHidden
          ? { id: template[CKA.ID] ?? new Uint8Array(), label: template[CKA.LABEL] ?? "" }
          : await session.describe(handle);
        const name = [...(id.length > 0 ? [`id ${toHex(id)}`] : []), ...(label === "" ? [] : [`"${label}"`])].join(" ");
        context.print.done(`Imported: ${name}`, { type: options.type, id: toHex(id), label });
      } finally {
        if (options.type === "private") {
          wipeTemplate(template);
          wipe(bytes);
        }
      }
    },
  );
}

/** @throws {UsageError} if the card already holds the certificate (with the given CKA_ID, if any). */
async function refuseAgain(session: TokenSession, template: Template): Promise<void> {
  const { [CKA.CLASS]: objectClass, [CKA.ID]: id, [CKA.VALUE]: value } = template;
  const [same] = await session.find({
    ...(objectClass !== undefined && { [CKA.CLASS]: objectClass }),
    ...(id && { [CKA.ID]: id }),
    ...(value && { [CKA.VALUE]: value }),
  });
  if (!same) return;
  const name = `id ${toHex(same.id)} "${same.label}"`;
  throw new UsageError(`the card already holds this certificate: ${name}; to write it again, add --yes`);
}

async function read(
  context: CommandContext,
  options: ImportOptions,
  file: string | undefined,
  bytes: Uint8Array,
): Promise<Template> {
  return {
    ...(await contents(context, options, file, bytes)),
    [CKA.TOKEN]: true,
    ...(options.id !== undefined && { [CKA.ID]: hexArgument(options.id, "--id") }),
    ...(options.label !== undefined && { [CKA.LABEL]: options.label }),
    ...(options.private && { [CKA.PRIVATE]: true }),
  };
}

async function contents(
  context: CommandContext,
  options: ImportOptions,
  file: string | undefined,
  bytes: Uint8Array,
): Promise<Template> {
  const { type, application, objectId } = options;
  const name = file ?? "standard input";
  switch (type) {
    case "cert":
      return certificateTemplate(name, bytes);
    case "private": {
      const { key } = await openKeyFile(context, file, bytes, options);
      const template = privateKeyTemplate(key);
      key.wipe();
      return template;
    }
    case "public":
      return publicKeyTemplate(name, bytes);
    case "data":
      return dataTemplate(bytes, application ?? "", objectId);
  }
}
