import type { Command } from "commander";
import { encodePem } from "../../bytes/index.ts";
import { action } from "../context.ts";
import { certificateSigner, orCryptokiError } from "../input/certificate-signer.ts";
import {
  contentsOptions,
  type ContentsOptions,
  loadX509,
  readExtensions,
  readSubject,
} from "../input/certificate-contents.ts";
import { writeWhole } from "../input/files.ts";
import { type KeyPlaceOptions, keyPlaceOptions, requiredPlace } from "../input/key-place.ts";
import { examples } from "../input/options.ts";
import { chooseToken } from "../input/token.ts";
import type { Environment } from "../output/printer.ts";
import { TokenSession } from "../session.ts";

interface RequestOptions extends KeyPlaceOptions, ContentsOptions {
  readonly output?: string;
}

export function addCertificateRequest(certificate: Command, environment: Environment): void {
  const command = contentsOptions(
    keyPlaceOptions(
      certificate
        .command("request")
        .summary("write a certificate request (PKCS #10)")
        .description(
          "Write a certificate request (PKCS #10) for a key, signed by that key, for a certification authority.",
        )
        .argument("[uri]", "a PKCS #11 URI of the token"),
      "the key",
    ),
  )
    .option("--output <file>", "write the request there")
    .addHelpText(
      "after",
      examples(
        [
          'cryptoki certificate request --reference 9a --subject "CN=Ada Lovelace" --for client-login',
          "to log in with",
        ],
        [
          'cryptoki certificate request --reference 9a --subject "CN=Ada" --san upn:ada@example.org --for smart-card-logon',
          "for Windows",
        ],
      ),
    );
  action<RequestOptions, [string | undefined]>(command, environment, async (context, options, uri) => {
    const library = await loadX509();
    const name = readSubject(library, options.subject);
    const extensions = readExtensions(library, options);
    const token = await chooseToken(context, uri);
    const id = requiredPlace(token, options);
    const session = await TokenSession.open(context, token, uri);
    const signer = await certificateSigner(session, id);
    const { keys, algorithm, crypto } = signer;
    const request = await orCryptokiError(
      library.Pkcs10CertificateRequestGenerator.create({ name, keys, extensions, signingAlgorithm: algorithm }, crypto),
    );
    const text = encodePem("CERTIFICATE REQUEST", new Uint8Array(request.rawData));
    const toFile = options.output !== undefined && options.output !== "-";
    if (toFile) await writeWhole(options.output, text, { signal: context.signal });
    if (context.print.json) context.print.document({ subject: request.subject, request: text });
    else if (!toFile) context.print.line(text.trimEnd());
  });
}
