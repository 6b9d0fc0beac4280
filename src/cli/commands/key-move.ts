import type { Command } from "commander";
import { equalBytes, toHex } from "../../bytes/index.ts";
import { action } from "../context.ts";
import {
  administeredToken,
  findPrivateKey,
  logInOfficer,
  requireMethod,
  requirePrivateKey,
} from "../input/card-administration.ts";
import { confirm, type ConfirmationOptions, confirmationOption } from "../input/confirmation.ts";
import { placeName, referenceOf, requiredPlace } from "../input/key-place.ts";
import { examples } from "../input/options.ts";
import { UsageError } from "../output/failures.ts";
import type { Environment } from "../output/printer.ts";
import { officerOption, type OfficerOptions } from "../session.ts";

interface MoveOptions extends OfficerOptions, ConfirmationOptions {
  readonly from: string;
  readonly to: string;
}

export function addKeyMove(key: Command, environment: Environment): void {
  const command = confirmationOption(
    officerOption(
      key
        .command("move")
        .summary("move a key to another place of a YubiKey")
        .description(
          "Move a key to another place on a YubiKey, from firmware 5.7 on; the management key is asked for. Its certificate stays where it is: " +
            "write it again beside the key.",
        )
        .argument("[uri]", "a PKCS #11 URI of the token")
        .requiredOption("--from <reference>", "the key's place: 9a, 9c, 9d, 9e, or 82 to 95")
        .requiredOption("--to <reference>", "its new place, such as 82 for a key that is retired"),
    ),
  ).addHelpText("after", examples(["cryptoki key move --from 9d --to 82", "keep an old key for decryption"]));
  action<MoveOptions, [string | undefined]>(command, environment, async (context, options, uri) => {
    const { token, run } = await administeredToken(context, uri);
    const from = requiredPlace(token, { reference: options.from });
    const to = requiredPlace(token, { reference: options.to });
    if (equalBytes(from, to)) throw new UsageError(`--from and --to name the same place, ${placeName(token, to)}`);
    await run(async (cardToken) => {
      const move = requireMethod(cardToken, "moveKey", "move keys");
      const moved = await requirePrivateKey(token, cardToken, from);
      if (await findPrivateKey(cardToken, to)) {
        await confirm(context, `there is a key in ${placeName(token, to)} already, which is destroyed`, options);
      }
      await logInOfficer(context, token, cardToken, options);
      await move(moved, to, { signal: context.signal });
    });
    context.print.done(`The key of ${placeName(token, from)} is in ${placeName(token, to)} now.`, {
      moved: true,
      from: { id: toHex(from), reference: referenceOf(token, from) },
      to: { id: toHex(to), reference: referenceOf(token, to) },
    });
  });
}
