import { type Command, Option } from "commander";
import { action } from "../context.ts";
import { examples } from "../input/options.ts";
import { chooseToken } from "../input/token.ts";
import { UsageError } from "../output/failures.ts";
import { deliver, encode, ENCODINGS, type Encoding } from "../output/encoding.ts";
import type { Environment } from "../output/printer.ts";
import { TokenSession } from "../session.ts";

interface RandomOptions {
  readonly bytes: number;
  readonly encoding?: Encoding;
  readonly output?: string;
}

/** Bytes of one call of C_GenerateRandom. */
const PART = 1 << 16;
/** Most bytes: the result is held in memory. */
const MOST = 1 << 24;

export function addRandom(program: Command, environment: Environment): void {
  const command = program
    .command("random")
    .summary("random bytes from a token")
    .description("Print random bytes from a token (C_GenerateRandom). No PIN is needed.")
    .argument("[uri]", "a PKCS #11 URI of the token")
    .option("--bytes <number>", "how many", readCount, 32)
    .addOption(new Option("--encoding <encoding>", "encoding of the bytes; default: hex").choices(ENCODINGS))
    .option("--output <file>", "write them to this file")
    .addHelpText(
      "after",
      examples(
        ["cryptoki random", "32 bytes in hexadecimal"],
        ["cryptoki random --bytes 16 --encoding binary --output salt", "into a file"],
      ),
    );
  action<RandomOptions, [string | undefined]>(command, environment, async (context, options, uri) => {
    const { print } = context;
    const { cryptoki, handle } = await TokenSession.open(context, await chooseToken(context, uri), uri);
    const parts: Uint8Array[] = [];
    for (let left = options.bytes; left > 0; left -= PART) {
      parts.push(await cryptoki.C_GenerateRandom(handle, Math.min(left, PART), { signal: context.signal }));
    }
    const random = Buffer.concat(parts);
    const { encoding = "hex", output } = options;
    if (!print.json || output !== undefined) await deliver(random, encoding, output, context);
    if (print.json) {
      const shown = encoding === "base64" ? "base64" : "hex";
      print.document(output === undefined ? { random: encode(random, shown) } : { output });
    }
  });
}

function readCount(text: string): number {
  const bytes = /^\d{1,8}$/u.test(text) ? Number(text) : 0;
  if (bytes < 1 || bytes > MOST) throw new UsageError(`--bytes is a number from 1 to ${MOST}`);
  return bytes;
}
