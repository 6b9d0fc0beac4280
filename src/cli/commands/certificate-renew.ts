import { type Command, Option } from "commander";
import { toHex } from "../../bytes/index.ts";
import { loadX509, planFinish, requestRenewal } from "../../certificates/index.ts";
import { parsePublicKey } from "../../crypto/index.ts";
import { action } from "../context.ts";
import { certificateSession } from "../input/card-key.ts";
import { type ExtensionOptions, extensionOptions, readExtensions, readSubject } from "../input/certificate-contents.ts";
import { earlierRequest, newKeyOf, type NewKeyOptions, signsAsKeyOf } from "../input/certificate-renewal.ts";
import { certificateSigner, endLogin, openKeySession, orCryptokiError } from "../input/certificate-signer.ts";
import {
  confirmWriting,
  expiresEarlier,
  isWritten,
  logInForChanges,
  readCertificates,
  subjectOf,
  tellWritten,
  writePlanned,
  type WritingOptions,
} from "../input/certificate-writing.ts";
import { confirm, confirmationOption } from "../input/confirmation.ts";
import { LIMIT, readWhole, writeWhole } from "../input/files.ts";
import { type KeyPlaceOptions, keyPlaceOptions, placeName, referenceOf } from "../input/key-place.ts";
import { KEY_TYPES, policyOption } from "../input/new-key.ts";
import { examples } from "../input/options.ts";
import type { Environment } from "../output/printer.ts";
import { officerOption, type TokenSession } from "../session.ts";

interface RenewOptions extends KeyPlaceOptions, NewKeyOptions, ExtensionOptions, Omit<WritingOptions, "unchecked"> {
  readonly request: string;
  readonly certificate?: string;
  readonly subject?: string;
}

export function addCertificateRenew(certificate: Command, environment: Environment): void {
  const command = confirmationOption(
    officerOption(
      extensionOptions(
        policyOption(
          keyPlaceOptions(
            certificate
              .command("renew")
              .summary("renew a certificate in two steps: a request, then the issued certificate")
              .description(
                "Renew the certificate of a key. The first call writes a request with the names and uses of the old certificate; with --new-key it " +
                  "makes a new key first. The second call, with --certificate, writes the issued certificate beside the key. Each call, run " +
                  "again after an interruption, goes on where it was.",
              )
              .argument("[uri]", "a PKCS #11 URI of the token")
              .requiredOption("--request <file>", "the request: written, and of an earlier call read")
              .option("--certificate <file>", "the issued certificate, with its chain in any order: finish with it"),
            "the key",
          )
            .addOption(
              new Option("--new-key <type>", "make a new key; default: the key is kept").choices(
                Object.keys(KEY_TYPES).filter((type) => type !== "x25519"),
              ),
            )
            .option(
              "--new-id <hex>",
              "the CKA_ID of the new key; on a PIV card it takes the old one's place, elsewhere the old one stays",
            ),
        )
          .option("--label <text>", "the CKA_LABEL of the new key and certificate; a PIV card has no place for one")
          .option("--subject <name>", "another subject than that of the old certificate"),
      ),
    ),
  ).addHelpText(
    "after",
    examples(
      ["cryptoki certificate renew --reference 9a --request request.pem", "a request for the same key"],
      ["cryptoki certificate renew --so --reference 9a --new-key p256 --request request.pem", "for a new key"],
      [
        "cryptoki certificate renew --so --reference 9a --request request.pem --certificate issued.pem",
        "when the certificate is there",
      ],
    ),
  );
  action<RenewOptions, [string | undefined]>(command, environment, async (context, options, uri) => {
    const { session, id } = await openKeySession(context, options, uri);
    await (options.certificate === undefined
      ? request(session, id, options)
      : finish(session, id, options, options.certificate));
  });
}

async function request(session: TokenSession, id: Uint8Array, options: RenewOptions): Promise<void> {
  const { context, token } = session;
  const { print, remark, signal } = context;
  const library = await loadX509();
  const name = options.subject === undefined ? undefined : readSubject(library, options.subject);
  const extensions = readExtensions(library, options);
  const newKey = await newKeyOf(session, id, options);
  const earlier = await earlierRequest(context, options.request);
  const made = await orCryptokiError(
    requestRenewal(
      certificateSession(session),
      {
        id,
        extensions,
        nameOf: (place) => placeName(token, place),
        signal,
        ...(newKey && { newKey }),
        ...(earlier && { earlier }),
        ...(name && { name }),
      },
      {
        confirm: (consequence) => confirm(context, consequence, options),
        logIn: () => logInForChanges(session, options),
        logOut: () => endLogin(session),
        signer: (place) => certificateSigner(session, place),
        isKeyOf: (place, spki) => signsAsKeyOf(session, place, parsePublicKey(spki)),
      },
    ),
  );
  if (!made.wasThere) await writeWhole(options.request, made.request, { signal });
  const place = newKey?.id ?? id;
  const state = made.wasThere ? "is in" : "was written to";
  remark.done(`The request of the key in ${placeName(token, place)} ${state} ${options.request}.`, {});
  if (print.json) {
    const reference = referenceOf(token, place);
    print.document({ id: toHex(place), reference, wasThere: made.wasThere, request: made.request });
  } else remark.line("Have a certificate issued for it, and give that to the same command with --certificate.");
}

async function finish(session: TokenSession, id: Uint8Array, options: RenewOptions, file: string): Promise<void> {
  const { context, token } = session;
  const chain = readCertificates(file, await readWhole(file, context.signal, LIMIT.KEY));
  const newKey = await newKeyOf(session, id, options);
  const written = await earlierRequest(context, options.request);
  const writing = await planFinish(certificateSession(session), {
    id,
    chain,
    nameOf: (place) => placeName(token, place),
    describe: subjectOf,
    ...(newKey && { newId: newKey.id }),
    ...(written && { request: written }),
  });
  // To replace the old certificate is what is asked for; to replace it by an older one is perhaps not.
  const replaced = writing.replaced.filter(({ value }) => value && expiresEarlier(writing.leaf, value));
  await confirmWriting(session, { ...writing, replaced }, options);
  if (!isWritten(session, writing)) {
    await logInForChanges(session, options);
    await writePlanned(session, writing, options);
  }
  tellWritten(session, writing);
}
