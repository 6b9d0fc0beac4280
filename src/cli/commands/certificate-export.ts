import { type Command, Option } from "commander";
import { encodePem, toHex } from "../../bytes/index.ts";
import { CKA, CKO } from "../../cryptoki/index.ts";
import { action } from "../context.ts";
import { writeWhole } from "../input/files.ts";
import { type KeyPlaceOptions, keyPlaceOptions, placeName, referenceOf, requiredPlace } from "../input/key-place.ts";
import { examples } from "../input/options.ts";
import { chooseToken } from "../input/token.ts";
import { summarise } from "../output/descriptions.ts";
import { NotFoundError } from "../output/failures.ts";
import type { Environment } from "../output/printer.ts";
import { type ObjectEntry, TokenSession } from "../session.ts";

interface ExportOptions extends KeyPlaceOptions {
  readonly format: "pem" | "der";
  readonly output?: string;
}

export function addCertificateExport(certificate: Command, environment: Environment): void {
  const command = keyPlaceOptions(
    certificate
      .command("export")
      .summary("read the certificate of a key")
      .description("Read the certificate of a key from a card. No PIN is needed.")
      .argument("[uri]", "a PKCS #11 URI of the token"),
    "the key",
  )
    .addOption(new Option("--format <format>", "how it is written").choices(["pem", "der"]).default("pem"))
    .option("--output <file>", "write it there")
    .addHelpText(
      "after",
      examples(["cryptoki certificate export --reference 9a --output certificate.pem", "of a PIV card"]),
    );
  action<ExportOptions, [string | undefined]>(command, environment, async (context, options, uri) => {
    const { print, signal } = context;
    const token = await chooseToken(context, uri);
    const id = requiredPlace(token, options);
    const session = await TokenSession.open(context, token, uri);
    const der = await session.value((await requireCertificate(session, id)).handle);
    const written = options.format === "der" ? der : encodePem("CERTIFICATE", der);
    const toFile = options.output !== undefined && options.output !== "-";
    if (toFile) await writeWhole(options.output, written, { signal });
    if (print.json) {
      const certificate = summarise(der);
      print.document({
        id: toHex(id),
        reference: referenceOf(token, id),
        pem: encodePem("CERTIFICATE", der),
        certificate,
      });
    } else if (!toFile) {
      if (typeof written === "string") print.line(written.trimEnd());
      else await print.bytes(written);
    }
  });
}

/** The certificate with a CKA_ID. @throws {NotFoundError} if there is none. */
export async function requireCertificate(session: TokenSession, id: Uint8Array): Promise<ObjectEntry> {
  const [found] = await session.find({ [CKA.CLASS]: CKO.CERTIFICATE, [CKA.ID]: id });
  if (found) return found;
  throw new NotFoundError(
    `there is no certificate in ${placeName(session.token, id)}; see them with: cryptoki certificate list`,
  );
}
