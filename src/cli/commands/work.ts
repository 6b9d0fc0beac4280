import type { Command } from "commander";
import type { FarmWorkerEvent } from "../../farm/index.ts";
import { action, type CommandContext } from "../context.ts";
import { AMBIGUOUS_PIN, type FarmPinOptions, farmPins } from "../input/farm-pins.ts";
import { examples } from "../input/options.ts";
import { UsageError } from "../output/failures.ts";
import { type Environment, visible } from "../output/printer.ts";

interface WorkOptions extends FarmPinOptions {
  readonly nats: string;
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
      "a file with the PIN of the token in its first line; where there are several, say with --token whose it is",
    )
    .option("--token <uri>", "the token whose PIN is in --pin-file, a PKCS #11 URI")
    .option(
      "--config <file>",
      "where the PINs of several tokens are, JSON, as in the configuration of serve --http; without it and --pin-file, " +
        "only keys that need no PIN are offered",
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

async function work(context: CommandContext, given: WorkOptions): Promise<void> {
  const { nats, queue } = given;
  const pins = await farmPins(given, context.environment.env);
  const { FarmWorker } = await import("../../farm/index.ts");
  const options = { nats: { servers: nats }, pcsc: await context.pcsc(), profiles: context.profiles };
  context.owns(
    await FarmWorker.start({
      ...options,
      ...(queue !== undefined && { queue }),
      ...(pins && { pin: pins.source }),
      onEvent: (event) => {
        report(context, event);
      },
    }),
  );
  if (pins?.isAmbiguous() === true) throw new UsageError(AMBIGUOUS_PIN);
  await new Promise<never>(() => undefined);
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
