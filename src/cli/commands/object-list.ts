import type { Command } from "commander";
import { CKA, CKO } from "../../cryptoki/index.ts";
import { action } from "../context.ts";
import { PIV_OBJECTS, templateOf } from "../input/data-object.ts";
import { referenceOf } from "../input/key-place.ts";
import { examples } from "../input/options.ts";
import { chooseToken } from "../input/token.ts";
import { NotFoundError } from "../output/failures.ts";
import type { Environment } from "../output/printer.ts";
import { TokenSession } from "../session.ts";

interface ListOptions {
  readonly login?: true;
}

/** A data object; without a length if it was not read. */
interface Listed {
  readonly name: string;
  readonly label: string;
  /** In bytes. */
  readonly length: number | undefined;
  readonly private: boolean;
}

export function addObjectList(object: Command, environment: Environment): void {
  const command = object
    .command("list")
    .summary("the data objects of a card")
    .description("List the data objects of a token. Those that only their owner sees are left out without --login.")
    .argument("[uri]", "a PKCS #11 URI of the token")
    .option("--login", "give the PIN first, for private objects")
    .addHelpText("after", examples(["cryptoki object list --login", "all of them"]));
  action<ListOptions, [string | undefined]>(command, environment, async (context, options, uri) => {
    const { print } = context;
    const session = await TokenSession.open(context, await chooseToken(context, uri), uri);
    if (options.login) await session.login();
    const isPiv = referenceOf(session.token, Uint8Array.of(1)) !== undefined;
    const listed = isPiv ? await pivObjects(session, options.login ?? false) : await labelled(session);
    if (listed.length === 0) throw new NotFoundError("no data object on the token");
    if (print.json) print.document(listed);
    else {
      print.table(
        ["NAME", "LABEL", { heading: "BYTES", align: "right" }, "PRIVATE"],
        listed.map(({ name, label, length, private: isPrivate }) => [
          name,
          label === name ? "" : label,
          length === undefined ? "" : String(length),
          isPrivate ? "yes" : "",
        ]),
      );
    }
  });
}

/** A search finds PIV's data objects only by name: each takes an exchange. */
async function pivObjects(session: TokenSession, loggedIn: boolean): Promise<Listed[]> {
  const listed: Listed[] = [];
  for (const object of PIV_OBJECTS) {
    if (object.pin && !loggedIn) continue;
    const [found] = await session.find(templateOf(object));
    if (!found) continue;
    const { length } = await session.value(found.handle);
    listed.push({ name: object.word, label: object.name, length, private: object.pin });
  }
  return listed;
}

async function labelled(session: TokenSession): Promise<Listed[]> {
  const listed: Listed[] = [];
  for (const { handle, label } of await session.find({ [CKA.CLASS]: CKO.DATA })) {
    const { length } = await session.value(handle);
    listed.push({ name: label, label, length, private: await session.flag(handle, CKA.PRIVATE) });
  }
  return listed;
}
