import type { Command } from "commander";
import { utf8 } from "../../bytes/index.ts";
import { CKA, CKO, CKR, CryptokiError } from "../../cryptoki/index.ts";
import { action } from "../context.ts";
import { examples } from "../input/options.ts";
import { chooseToken } from "../input/token.ts";
import { UnsuitableCardError } from "../output/failures.ts";
import { type Environment, visible } from "../output/printer.ts";
import { logIn, officerOption, type OfficerOptions, TokenSession } from "../session.ts";

export function addTokenLabel(group: Command, environment: Environment): void {
  const command = officerOption(
    group
      .command("label")
      .summary("give a token another label")
      .description(
        "Change the label of a token, on cards that can store one. The PIN is asked for, or with --so the SO PIN.",
      )
      .argument("<label>", "the new label")
      .argument("[uri]", "a PKCS #11 URI of the token"),
  ).addHelpText("after", examples(["cryptoki token label 'Ada'", "asks for the PIN"]));
  action<OfficerOptions, [string, string | undefined]>(command, environment, async (context, options, label, uri) => {
    const token = await chooseToken(context, uri);
    const session = await TokenSession.open(context, token, uri);
    // The object that stands for the label.
    const [stored] = await session.find({ [CKA.CLASS]: CKO.DATA, [CKA.LABEL]: "TokenLabel" });
    if (!stored) throw new UnsuitableCardError("this token does not show its label as an object that can be changed");
    const change = (): Promise<void> =>
      session.cryptoki.C_SetAttributeValue(
        session.handle,
        stored.handle,
        { [CKA.VALUE]: utf8(label) },
        { signal: context.signal },
      );
    try {
      // A card whose label is fixed says so before a PIN is asked for.
      await change();
    } catch (error) {
      if (!(error instanceof CryptokiError && error.rv === CKR.USER_NOT_LOGGED_IN)) throw error;
      await logIn(session, options);
      await change();
    }
    context.print.done(`The label of ${visible(token.label)} is changed to ${visible(label)}.`, {
      label,
      changed: true,
    });
  });
}
