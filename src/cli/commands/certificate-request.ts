import type { Command } from "commander";
import { makeRequest } from "../../certificates/index.ts";
import { action } from "../context.ts";
import { openKeySession, orCryptokiError } from "../input/certificate-signer.ts";
import { contentsOptions, type ContentsOptions, readContents } from "../input/certificate-contents.ts";
import { writeWhole } from "../input/files.ts";
import { type KeyPlaceOptions, keyPlaceOptions } from "../input/key-place.ts";
import { examples } from "../input/options.ts";
import { givenKeySigner, unshownKeyOption, type UnshownKeyOptions } from "../input/unshown-key.ts";
import type { Environment } from "../output/printer.ts";

interface RequestOptions extends KeyPlaceOptions, ContentsOptions, UnshownKeyOptions {
  readonly output?: string;
}

export function addCertificateRequest(certificate: Command, environment: Environment): void {
  const command = unshownKeyOption(
    contentsOptions(
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
        [
          'cryptoki certificate request --reference 9a --key key.pem --subject "CN=Ada"',
          "on a PIV card that shows no key without a certificate; key generate --output key.pem wrote the public key",
        ],
      ),
    );
  action<RequestOptions, [string | undefined]>(command, environment, async (context, options, uri) => {
    const { library, name, extensions } = await readContents(options);
    const { session, id } = await openKeySession(context, options, uri);
    await using signer = await givenKeySigner(session, id, options);
    const text = await orCryptokiError(makeRequest(library, signer, { name, extensions }));
    const toFile = options.output !== undefined && options.output !== "-";
    if (toFile) await writeWhole(options.output, text, { signal: context.signal });
    if (context.print.json) context.print.document({ subject: name.toString(), request: text });
    else if (!toFile) context.print.line(text.trimEnd());
  });
}
