import type { Command } from "commander";
import { action, type CommandContext } from "../context.ts";
import { administeredToken, logInOfficer, requireMethod } from "../input/card-administration.ts";
import { logInForChanges } from "../input/certificate-writing.ts";
import { confirm, type ConfirmationOptions, confirmationOption } from "../input/confirmation.ts";
import { namedObject, type PivObject, requireObject } from "../input/data-object.ts";
import { examples } from "../input/options.ts";
import { chooseToken } from "../input/token.ts";
import type { Environment } from "../output/printer.ts";
import { asAllowed, officerOption, type OfficerOptions, TokenSession } from "../session.ts";

export function addObjectDelete(object: Command, environment: Environment): void {
  const command = confirmationOption(
    officerOption(
      object
        .command("delete")
        .summary("delete a data object")
        .description("Delete a data object from a card. A PIV card wants the management key: --so.")
        .argument("<name>", "on a PIV card its name, such as chuid; else its CKA_LABEL"),
    ),
  ).addHelpText("after", examples(["cryptoki object delete --so printed-information", "on a PIV card"]));
  action<OfficerOptions & ConfirmationOptions, [string]>(command, environment, async (context, options, name) => {
    const token = await chooseToken(context);
    const named = namedObject(token, name);
    const consequence = `the data object ${named.word} is deleted`;
    if (named.piv?.pin) await deleteHidden(context, named.piv, consequence, options);
    else {
      const session = await TokenSession.open(context, token, undefined);
      const found = await requireObject(session, named);
      await confirm(context, consequence, options);
      await logInForChanges(session, options);
      const destroy = session.cryptoki.C_DestroyObject(session.handle, found.handle, { signal: context.signal });
      await asAllowed(options, destroy);
    }
    context.print.done(`Deleted: the data object ${named.word}.`, { deleted: true, name: named.word });
  });
}

/** PKCS #11 shows a private object to the user only, and PIV lets only the security officer delete it: the card is asked itself. */
async function deleteHidden(
  context: CommandContext,
  { name }: PivObject,
  consequence: string,
  options: OfficerOptions & ConfirmationOptions,
): Promise<void> {
  await confirm(context, consequence, options);
  const { token, run } = await administeredToken(context);
  await run(async (cardToken) => {
    const destroy = requireMethod(cardToken, "destroyObject", "delete objects");
    const found = (await cardToken.objects(["data"])).find(({ label }) => label === name);
    await logInOfficer(context, token, cardToken, options);
    if (found) await destroy(found, { signal: context.signal });
  });
}
