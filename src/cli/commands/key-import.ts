import type { Command } from "commander";
import { toHex, wipe } from "../../bytes/index.ts";
import { privateKeyTemplate } from "../../certificates/index.ts";
import { digest, encodePublicKey, publicKeyName } from "../../crypto/index.ts";
import { type AttributeList, CKA } from "../../cryptoki/index.ts";
import type { KeyFile } from "../../keyfiles/index.ts";
import { action, type CommandContext } from "../context.ts";
import { confirmWriting, isWritten, logInForChanges, subjectOf, writePlanned } from "../input/certificate-writing.ts";
import { planWriting, type Writing } from "../../certificates/index.ts";
import { certificateSession } from "../input/card-key.ts";
import { type ConfirmationOptions, confirmationOption } from "../input/confirmation.ts";
import { LIMIT, readInput } from "../input/files.ts";
import { type KeyFileOptions, keyFileOption, openKeyFile } from "../input/key-file.ts";
import { type KeyPlaceOptions, keyPlaceOptions, placeName, placeOf, referenceOf } from "../input/key-place.ts";
import { readPolicy } from "../input/key-policy.ts";
import { confirmPlace, policyOption, readUsage, requiredOnPiv, usageOption } from "../input/new-key.ts";
import { warn } from "../input/officer.ts";
import { examples } from "../input/options.ts";
import { chooseToken, uriAndFile } from "../input/token.ts";
import type { Environment } from "../output/printer.ts";
import { asAllowed, officerOption, type OfficerOptions, TokenSession } from "../session.ts";

interface ImportOptions extends KeyPlaceOptions, KeyFileOptions, OfficerOptions, ConfirmationOptions {
  readonly label?: string;
  readonly policy?: string;
  readonly usage?: string;
  /** False with --no-certificates. */
  readonly certificates: boolean;
}

export function addKeyImport(key: Command, environment: Environment): void {
  const command = confirmationOption(
    officerOption(
      keyFileOption(
        usageOption(
          policyOption(
            keyPlaceOptions(
              key
                .command("import")
                .summary("bring a private key from a file to a card")
                .description(
                  "Write a private key from a file on a card, with the certificates that lie beside it: PEM or DER (PKCS #8, PKCS #1, SEC 1), " +
                    "encrypted or not, and PKCS #12. YubiKeys take keys, with the management key: --so; other PIV cards do not; of other cards " +
                    "those whose make allows it, such as MyEID. Run again after an interruption it goes on.",
                )
                .argument("[uri]", "a PKCS #11 URI of the token")
                .argument("[file]", "the file; default: standard input"),
              "the key",
            ).option("--label <text>", "its CKA_LABEL; a PIV card has no place for one"),
          ),
        ).option("--no-certificates", "leave the certificates of the file out"),
      ),
    ),
  ).addHelpText(
    "after",
    examples(
      ["cryptoki key import --so --reference 9d backup.p12", "a key with its certificate, on a YubiKey"],
      ["cryptoki key import --so --reference 9c --policy touch=always key.pem", "with policies"],
      ["cryptoki key import --id 45 --label Mail key.pem", "on another card"],
    ),
  );
  action<ImportOptions, [string | undefined, string | undefined]>(
    command,
    environment,
    async (context, options, ...two) => {
      const { uri, file } = uriAndFile(...two);
      const bytes = await readInput(file, context.environment, LIMIT.KEY);
      const keyFile = await openKeyFile(context, file, bytes, options).finally(() => {
        wipe(bytes);
      });
      try {
        await importKey(context, options, uri, keyFile);
      } finally {
        keyFile.key.wipe();
      }
    },
  );
}

async function importKey(
  context: CommandContext,
  options: ImportOptions,
  uri: string | undefined,
  keyFile: KeyFile,
): Promise<void> {
  const policy = readPolicy(options.policy);
  const usage = readUsage(options.usage);
  const token = await chooseToken(context, uri);
  const isPiv = requiredOnPiv(token, options, usage);
  const spki = encodePublicKey(keyFile.key.publicKey);
  // A card that takes any identifier gets the one that other programs give such a key.
  const id = placeOf(token, options) ?? digest("sha1", spki);
  const session = await TokenSession.open(context, token, uri);
  const isThere = await confirmPlace(session, id, spki, options);
  const writing = options.certificates ? await certificateToWrite(session, id, keyFile, spki) : undefined;
  if (writing) await confirmWriting(session, writing, options);
  await logInForChanges(session, options);
  // The same key once more: on a PIV card with other policies perhaps, elsewhere it would be a second one.
  if (!isThere || isPiv) {
    const template = privateKeyTemplate(keyFile.key);
    const more = { [CKA.TOKEN]: true, [CKA.ID]: id, ...usage?.private };
    const named = options.label === undefined ? more : { ...more, [CKA.LABEL]: options.label };
    const list = [...entries(template), ...entries(named), ...policy] as AttributeList;
    try {
      await asAllowed(options, session.cryptoki.C_CreateObject(session.handle, list, { signal: context.signal }));
    } finally {
      wipe(...Object.values(template).filter((value) => value instanceof Uint8Array));
    }
  }
  if (writing && !isWritten(session, writing)) await writePlanned(session, writing, options);
  const key = publicKeyName(spki);
  const beside = writing ? `, with the certificate of ${subjectOf(writing.leaf)}` : "";
  context.print.done(`The key of type ${key} is in ${placeName(token, id)}${beside}.`, {
    imported: true,
    id: toHex(id),
    reference: referenceOf(token, id),
    key,
    fingerprint: toHex(digest("sha256", spki)),
    certificate: writing && subjectOf(writing.leaf),
  });
}

const entries = (template: object): [number, unknown][] =>
  Object.entries(template).map(([type, value]) => [Number(type), value]);

/** The file's certificates, as far as they are the key's. */
async function certificateToWrite(
  session: TokenSession,
  id: Uint8Array,
  { certificate, others }: KeyFile,
  spki: Uint8Array,
): Promise<Writing | undefined> {
  if (!certificate) {
    if (others.length > 0) warn(session.context, "the certificates of the file are not of its key; left out");
    return undefined;
  }
  const name = placeName(session.token, id);
  return planWriting(certificateSession(session), id, [certificate, ...others], {
    name,
    otherKeys: [spki],
    describe: subjectOf,
  });
}
