import type { Command } from "commander";
import { action } from "../context.ts";
import { keyDetails } from "../input/key-details.ts";
import { type KeyPlaceOptions, keyPlaceOptions, placeName, requiredPlace } from "../input/key-place.ts";
import { examples } from "../input/options.ts";
import { chooseToken } from "../input/token.ts";
import { dayOf, shownName } from "../output/descriptions.ts";
import { NotFoundError } from "../output/failures.ts";
import type { Environment } from "../output/printer.ts";
import { TokenSession } from "../session.ts";

export function addKeyInfo(key: Command, environment: Environment): void {
  const command = keyPlaceOptions(
    key
      .command("info")
      .summary("what a key is")
      .description(
        "Show a key: its type, when it wants the PIN and a touch, whether it was made on the card, its certificate, and its fingerprint " +
          "(SHA-256 of the public key, SubjectPublicKeyInfo). No PIN is needed.",
      )
      .argument("[uri]", "a PKCS #11 URI of the token"),
    "the key",
  ).addHelpText("after", examples(["cryptoki key info --reference 9a", "of a PIV card"]));
  action<KeyPlaceOptions, [string | undefined]>(command, environment, async (context, options, uri) => {
    const { print } = context;
    const token = await chooseToken(context, uri);
    const id = requiredPlace(token, options);
    const [found] = await keyDetails(await TokenSession.open(context, token, uri), id);
    if (!found) throw new NotFoundError(`there is no key in ${placeName(token, id)}; see them with: cryptoki key list`);
    if (print.json) {
      print.document(found);
      return;
    }
    const { key: type, policy, fingerprint, certificate, label, uri: keyUri } = found;
    print.pairs([
      ["key", placeName(token, id)],
      ["label", label],
      ["type", type],
      ["PIN", policy.pin],
      ["touch", policy.touch],
      ["origin", policy.origin],
      ["fingerprint", fingerprint],
      ["certificate", certificate ? `${shownName(certificate.subject)}, until ${dayOf(certificate.notAfter)}` : "none"],
      ["URI", keyUri],
    ]);
  });
}
