import type { Command } from "commander";
import { derOid } from "../../asn1/index.ts";
import { equalBytes } from "../../bytes/index.ts";
import { CKA, CKO, type Template } from "../../cryptoki/index.ts";
import { action } from "../context.ts";
import { logInForChanges } from "../input/certificate-writing.ts";
import { confirm, type ConfirmationOptions, confirmationOption } from "../input/confirmation.ts";
import { checkContents, findObject, namedObject, type PivObject } from "../input/data-object.ts";
import { LIMIT, readInput } from "../input/files.ts";
import { examples } from "../input/options.ts";
import { chooseToken } from "../input/token.ts";
import { UsageError } from "../output/failures.ts";
import type { Environment } from "../output/printer.ts";
import { asAllowed, officerOption, type OfficerOptions, TokenSession } from "../session.ts";

interface WriteOptions extends OfficerOptions, ConfirmationOptions {
  readonly application?: string;
  readonly private?: true;
}

export function addObjectWrite(object: Command, environment: Environment): void {
  const command = confirmationOption(
    officerOption(
      object
        .command("write")
        .summary("write a data object")
        .description(
          "Write a data object on a card, in place of one that has the name. A PIV card wants the management key, --so, and data objects in " +
            "BER-TLV, without the outer tag 53.",
        )
        .argument("<name>", "on a PIV card its name, such as chuid; else its CKA_LABEL")
        .argument("[file]", "what is to be in it; default: standard input")
        .option("--application <text>", "the CKA_APPLICATION of a new object; PIV's have one")
        .option("--private", "a new object is private: only its owner sees it; PIV says which of its objects are"),
    ),
  ).addHelpText(
    "after",
    examples(
      ["cryptoki object write --so chuid chuid.bin", "on a PIV card"],
      ["cryptoki object write Notes notes.txt", "on another card"],
    ),
  );
  action<WriteOptions, [string, string | undefined]>(command, environment, async (context, options, name, file) => {
    const { print, signal } = context;
    const bytes = new Uint8Array(await readInput(file, context.environment, LIMIT.KEY));
    const token = await chooseToken(context);
    const { word, piv, template } = namedObject(token, name);
    if (piv && (options.application !== undefined || options.private)) {
      throw new UsageError("--application and --private: PIV says what its data objects are");
    }
    if (piv) checkContents(file ?? "standard input", bytes);
    const session = await TokenSession.open(context, token, undefined);
    const { cryptoki, handle } = session;
    // The PIN shows whether there is a private object of PIV, and writing it does not want the PIN.
    const isHidden = piv?.pin ?? false;
    const before = isHidden ? undefined : await findObject(session, { word, piv, template });
    const isSame = before && equalBytes(await session.value(before.handle), bytes);
    if (before && !isSame)
      await confirm(context, `there is a data object ${word} already, which is overwritten`, options);
    if (isHidden)
      await confirm(context, `a data object ${word} that is there is overwritten; only the PIN shows it`, options);
    if (!isSame) {
      await logInForChanges(session, options);
      const made = newObject(word, piv, bytes, options);
      // On a PIV card the name is the place: what is written there replaces what was.
      const write =
        before && !piv
          ? cryptoki.C_SetAttributeValue(handle, before.handle, { [CKA.VALUE]: bytes }, { signal })
          : cryptoki.C_CreateObject(handle, made, { signal });
      await asAllowed<unknown>(options, write);
    }
    print.done(`The data object ${word} has ${bytes.length} bytes.`, {
      written: true,
      name: word,
      length: bytes.length,
    });
  });
}

/** A new data object, for C_CreateObject. */
function newObject(
  word: string,
  piv: PivObject | undefined,
  value: Uint8Array,
  { application, private: isPrivate }: WriteOptions,
): Template {
  const common = { [CKA.CLASS]: CKO.DATA, [CKA.TOKEN]: true, [CKA.VALUE]: value };
  if (piv) {
    return { ...common, [CKA.LABEL]: piv.name, [CKA.PRIVATE]: piv.pin, [CKA.OBJECT_ID]: derOid(piv.objectId) };
  }
  const labelled = { ...common, [CKA.LABEL]: word, [CKA.PRIVATE]: isPrivate ?? false };
  return application === undefined ? labelled : { ...labelled, [CKA.APPLICATION]: application };
}
