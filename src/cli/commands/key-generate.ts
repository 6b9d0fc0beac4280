import { type Command, Option } from "commander";
import { encodePem, toHex } from "../../bytes/index.ts";
import { digest, encodePublicKey, publicKeyName } from "../../crypto/index.ts";
import { type AttributeList, CKA, CKO } from "../../cryptoki/index.ts";
import { action } from "../context.ts";
import { writeWhole } from "../input/files.ts";
import { confirm, type ConfirmationOptions, confirmationOption } from "../input/confirmation.ts";
import {
  type KeyPlaceOptions,
  keyPlaceOptions,
  placeName,
  placeOf,
  referenceOf,
  requiredPlace,
} from "../input/key-place.ts";
import { readPolicy } from "../input/key-policy.ts";
import { KEY_TYPES } from "../input/new-key.ts";
import { examples } from "../input/options.ts";
import { chooseToken } from "../input/token.ts";
import { warnOfKnownKey } from "../input/officer.ts";
import type { Environment } from "../output/printer.ts";
import { asAllowed, logIn, officerOption, type OfficerOptions, TokenSession } from "../session.ts";

interface GenerateOptions extends KeyPlaceOptions, OfficerOptions, ConfirmationOptions {
  readonly type: string;
  readonly label?: string;
  readonly policy?: string;
  readonly output?: string;
}

export function addKeyGenerate(key: Command, environment: Environment): void {
  const command = confirmationOption(
    officerOption(
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
        .option("--label <text>", "its CKA_LABEL; a PIV card has no place for one")
        .option(
          "--policy <policies>",
          "when a YubiKey wants the PIN and a touch: pin=never, once or always; touch=never, always or cached (not again for 15 " +
            "seconds); with a comma between the two",
        )
        .option("--output <file>", "write the public key there"),
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
    const type = KEY_TYPES[options.type];
    if (!type) return;
    const token = await chooseToken(context, uri);
    const id =
      referenceOf(token, Uint8Array.of(1)) === undefined ? placeOf(token, options) : requiredPlace(token, options);
    const session = await TokenSession.open(context, token, uri);
    if (id) await confirmOverwriting(session, id, options);
    await logIn(session, options, (officerPin) => {
      warnOfKnownKey(context, officerPin);
    });
    const common = {
      [CKA.TOKEN]: true,
      ...(id && { [CKA.ID]: id }),
      ...(options.label !== undefined && { [CKA.LABEL]: options.label }),
    };
    const made = await asAllowed(
      options,
      session.cryptoki.C_GenerateKeyPair(
        session.handle,
        { mechanism: type.mechanism },
        { ...common, ...type.template() },
        [...Object.entries(common).map(([name, value]) => [Number(name), value] as const), ...policy] as AttributeList,
        { signal: context.signal },
      ),
    );
    const entry = await session.describe(made.publicKey);
    const spki = encodePublicKey(await session.publicKey(entry));
    const text = encodePem("PUBLIC KEY", spki);
    if (options.output !== undefined && options.output !== "-") {
      await writeWhole(options.output, text, { signal: context.signal });
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

/** Asks before a key is overwritten. @throws {UsageError} if that is not wanted. */
async function confirmOverwriting(session: TokenSession, id: Uint8Array, options: ConfirmationOptions): Promise<void> {
  const [before] = await session.find({ [CKA.CLASS]: CKO.PUBLIC_KEY, [CKA.ID]: id });
  if (!before) return;
  const name = placeName(session.token, id);
  const known = await session.publicKeyInfo(before.handle);
  const type = known ? ` of type ${publicKeyName(known)}` : "";
  await confirm(session.context, `there is a key${type} in ${name} already, which a new one destroys`, options);
}
