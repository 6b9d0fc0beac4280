import { readFile } from "node:fs/promises";
import type { Command } from "commander";
import { secretUtf8 } from "../../bytes/index.ts";
import type { FarmPinSource, FarmWorkerEvent } from "../../farm/index.ts";
import { action, type CommandContext } from "../context.ts";
import { examples } from "../input/options.ts";
import { FileError, UsageError } from "../output/failures.ts";
import { type Environment, visible } from "../output/printer.ts";

interface WorkOptions {
  readonly nats: string;
  readonly pinFile?: string;
  readonly queue?: number;
}

export function addWork(program: Command, environment: Environment): void {
  const command = program
    .command("work")
    .summary("offer the keys of this machine's cards to a farm")
    .description(
      "Offer the keys on the cards of this machine to a farm on NATS JetStream, until interrupted. An idle card takes the next request " +
        "for its key. The PIN stays on this machine; one that a card refuses is not tried again. docs/farm.md describes a farm.",
    )
    .requiredOption("--nats <urls>", "the NATS servers, such as nats://host:4222; several with commas")
    .option(
      "--pin-file <file>",
      "a file with the PIN of these cards in its first line; without it, only keys that need none are offered",
    )
    .option("--queue <requests>", "requests that may wait for one key; default: 200", parseQueue)
    .addHelpText(
      "after",
      examples(
        [
          "cryptoki work --nats nats://farm:4222 --pin-file /etc/cryptoki/pin",
          "the keys of the cards in this machine's readers",
        ],
        ["cryptoki serve --farm nats://farm:4222", "use them on another machine"],
      ),
    );
  action<WorkOptions>(command, environment, work, () => true);
}

function parseQueue(text: string): number {
  const requests = /^\d{1,6}$/u.test(text) ? Number(text) : 0;
  if (requests < 1) throw new UsageError("--queue is a number of requests, from 1 to 999999");
  return requests;
}

async function work(context: CommandContext, { nats, pinFile, queue }: WorkOptions): Promise<void> {
  const { FarmWorker } = await import("../../farm/index.ts");
  const options = { nats: { servers: nats }, pcsc: await context.pcsc(), profiles: context.profiles };
  context.owns(
    await FarmWorker.start({
      ...options,
      ...(queue !== undefined && { queue }),
      ...(pinFile !== undefined && { pin: pinOf(pinFile) }),
      onEvent: (event) => {
        report(context, event);
      },
    }),
  );
  await new Promise<never>(() => undefined);
}

/** The first line of a file, read each time the PIN is wanted. */
function pinOf(file: string): FarmPinSource {
  return async () => {
    const text = await readFile(file, "utf8").catch((cause: unknown) => {
      throw new FileError(`${file} cannot be read`, { cause });
    });
    return secretUtf8(text.split(/\r?\n/u)[0] ?? "");
  };
}

function report({ print }: CommandContext, event: FarmWorkerEvent): void {
  if (print.json) {
    print.documentLine(event);
    return;
  }
  print.line(`${visible(event.reader)}: ${textOf(event)}`);
}

function textOf(event: FarmWorkerEvent): string {
  if (event.type === "ready") return `${event.keys.length} keys offered`;
  if (event.type === "removed") return "card removed";
  if (event.type === "unusable") return visible(event.reason);
  return "the card refused its PIN; its keys are not offered, and the PIN is not tried again";
}
