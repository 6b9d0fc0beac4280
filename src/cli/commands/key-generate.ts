import { type Command, Option } from "commander";
import { encodePem, toHex } from "../../bytes/index.ts";
import { digest, encodePublicKey, publicKeyName } from "../../crypto/index.ts";
import { action } from "../context.ts";
import { writeWhole } from "../input/files.ts";
import { type ConfirmationOptions, confirmationOption } from "../input/confirmation.ts";
import { type KeyPlaceOptions, keyPlaceOptions, placeName, placeOf, referenceOf } from "../input/key-place.ts";
import { readPolicy } from "../input/key-policy.ts";
import {
  confirmPlace,
  KEY_TYPES,
  newKeyTemplates,
  policyOption,
  readUsage,
  requiredOnPiv,
  usageOption,
} from "../input/new-key.ts";
import { examples } from "../input/options.ts";
import { chooseToken } from "../input/token.ts";
import { logInForChanges } from "../input/certificate-writing.ts";
import type { Environment } from "../output/printer.ts";
import { Progress } from "../output/progress.ts";
import { asAllowed, officerOption, type OfficerOptions, TokenSession } from "../session.ts";

interface GenerateOptions extends KeyPlaceOptions, OfficerOptions, ConfirmationOptions {
  readonly type: string;
  readonly label?: string;
  readonly policy?: string;
  readonly usage?: string;
  readonly output?: string;
}

export function addKeyGenerate(key: Command, environment: Environment): void {
  const command = confirmationOption(
    officerOption(
      usageOption(
        policyOption(
          keyPlaceOptions(
            key
              .command("generate")
              .summary("make a key on a card")
              .description(
                "Have a card make a key pair, and print its public key. The private key never leaves the card. On a PIV card the management " +
                  "key is asked for: --so.",
              )
              .argument("[uri]", "a PKCS #11 URI of the token"),
            "the new key",
          )
            .addOption(new Option("--type <type>", "the type of key").choices(Object.keys(KEY_TYPES)).default("p256"))
            .option("--label <text>", "its CKA_LABEL; a PIV card has no place for one"),
        ),
      ).option("--output <file>", "write the public key there"),
    ),
  ).addHelpText(
    "after",
    examples(
      ["cryptoki key generate --so --reference 9a --type p384", "on a PIV card"],
      ["cryptoki key generate --so --reference 9c --policy pin=always,touch=cached", "with policies, on a YubiKey"],
      ["cryptoki key generate --id 45 --type rsa2048 --label Mail", "on another card"],
    ),
  );
  action<GenerateOptions, [string | undefined]>(command, environment, async (context, options, uri) => {
    const { print } = context;
    const policy = readPolicy(options.policy);
    const usage = readUsage(options.usage);
    const type = KEY_TYPES[options.type];
    if (!type) return;
    const token = await chooseToken(context, uri);
    requiredOnPiv(token, options, usage);
    const id = placeOf(token, options);
    const session = await TokenSession.open(context, token, uri);
    if (id) await confirmPlace(session, id, undefined, options);
    await logInForChanges(session, options);
    const { label } = options;
    const made = newKeyTemplates(type, id, { policy, ...(label !== undefined && { label }), ...(usage && { usage }) });
    const progress = new Progress(context.environment, print.json, (seconds) => `the card makes the key: ${seconds} s`);
    const pair = await asAllowed(
      options,
      session.cryptoki.C_GenerateKeyPair(session.handle, made.mechanism, made.publicTemplate, made.privateTemplate, {
        signal: context.signal,
      }),
    ).finally(() => {
      progress.end();
    });
    const entry = await session.describe(pair.publicKey);
    const spki = encodePublicKey(await session.publicKey(entry));
    const text = encodePem("PUBLIC KEY", spki);
    if (options.output !== undefined && options.output !== "-") {
      await writeWhole(options.output, text, { signal: context.signal }).catch((error: unknown) => {
        // The card has the key, and may show its public half no more.
        if (!print.json) print.line(text.trimEnd());
        context.warn(`the card has made the key in ${placeName(token, entry.id)}; only the file was not written`);
        throw error;
      });
    }
    if (print.json) {
      print.document({
        generated: true,
        id: toHex(entry.id),
        reference: referenceOf(token, entry.id),
        label: entry.label,
        key: publicKeyName(spki),
        fingerprint: toHex(digest("sha256", spki)),
        publicKey: text,
      });
      return;
    }
    if (options.output === undefined || options.output === "-") print.line(text.trimEnd());
    context.remark.done(`Made a key of type ${publicKeyName(spki)} in ${placeName(token, entry.id)}.`, {});
  });
}
