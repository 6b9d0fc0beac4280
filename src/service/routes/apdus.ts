import {
  Concealer,
  encodeCommand,
  explainCommand,
  explainResponse,
  findCommandNamed,
  namedCommands,
} from "../../apdu/index.ts";
import { fromHex, toHex } from "../../bytes/index.ts";
import { TokenError } from "../../tokens/index.ts";
import type { App } from "../app.ts";
import type { Service } from "../call.ts";
import { answers, described } from "../descriptions.ts";
import type { PracticeCard } from "../practice-card.ts";
import { ServiceError } from "../problem.ts";
import {
  BuildBody,
  BuiltSchema,
  ExplainBody,
  ExplainedSchema,
  listOf,
  NamedCommandSchema,
  SendBody,
  SentSchema,
} from "../schemas.ts";

const byteText = (byte: number): string => toHex(Uint8Array.of(byte)).toUpperCase();

/** Command APDUs: explained, built, and sent to the practice card. None of it reaches a token. */
export function addApdus(app: App, service: Service, practice: PracticeCard | undefined): void {
  app.get(
    "/v1/apdu/commands",
    {
      schema: {
        ...described("listCommands", "The commands that can be built by name", "view"),
        response: answers(listOf(NamedCommandSchema)),
      },
    },
    (request, reply) =>
      service.read(request, reply, () => {
        const items = namedCommands().map((one) => ({ ...one, cla: byteText(one.cla), ins: byteText(one.ins) }));
        return Promise.resolve({ body: { items } });
      }),
  );

  app.post(
    "/v1/apdu/explain",
    {
      schema: {
        ...described("explainApdu", "What a command means, and its answer", "view"),
        body: ExplainBody,
        response: answers(ExplainedSchema),
      },
    },
    (request, reply) =>
      service.read(request, reply, () => {
        const command = fromHex(request.body.command);
        const answer = request.body.answer === undefined ? undefined : fromHex(request.body.answer);
        const { name, standard, details } = explainCommand(command);
        const body = { name, standard, details, ...(answer && { answer: explainResponse(command, answer) }) };
        return Promise.resolve({ body });
      }),
  );

  app.post(
    "/v1/apdu/build",
    {
      schema: {
        ...described("buildApdu", "A command by its name and fields", "view"),
        body: BuildBody,
        response: answers(BuiltSchema),
      },
    },
    (request, reply) =>
      service.read(request, reply, () => {
        const { name: wanted, cla, p1 = "00", p2 = "00", data, le, extended } = request.body;
        const search = findCommandNamed(wanted);
        if (!("found" in search)) throw new ServiceError("BAD_INPUT", unknownCommand(wanted, search.candidates));
        const { found } = search;
        const apdu = encodeCommand(
          {
            ...{ cla: cla === undefined ? found.cla : parseInt(cla, 16), ins: found.ins },
            ...{ p1: parseInt(p1, 16), p2: parseInt(p2, 16) },
            ...(data !== undefined && data !== "" && { data: fromHex(data) }),
            ...(le !== undefined && { ne: le }),
          },
          extended ? "extended" : "short",
        );
        const { name, standard, details } = explainCommand(apdu);
        return Promise.resolve({ body: { command: toHex(apdu).toUpperCase(), name, standard, details } });
      }),
  );

  app.post(
    "/v1/apdu/send",
    {
      schema: {
        ...described("sendApdu", "Send commands to the practice card, which is virtual and no token's", "admin"),
        body: SendBody,
        response: answers(SentSchema),
      },
    },
    (request, reply) =>
      service.perform(request, reply, { operation: "send-apdu" }, "secret", async (call) => {
        call.client.requireEverywhere("admin");
        if (!practice) throw new TokenError("NOT_SUPPORTED", "this service has no practice card");
        const { commands, reset = false } = request.body;
        const concealer = new Concealer();
        const sent = await practice.send(commands.map(commandBytes), { reset, signal: call.signal });
        const answers = sent.map(({ command, answer }) => ({
          command: concealer.conceal(command, answer).command.toUpperCase(),
          name: explainCommand(command).name,
          data: toHex(answer.subarray(0, -2)).toUpperCase(),
          ...explainResponse(command, answer),
        }));
        return { body: { answers } };
      }),
  );
}

function unknownCommand(name: string, candidates: readonly string[]): string {
  const advice = candidates.length > 0 ? `did you mean ${candidates.join(", ")}?` : "list them: GET /v1/apdu/commands";
  return `there is no command ${name.toUpperCase()}; ${advice}`;
}

function commandBytes(text: string, index: number): Uint8Array {
  const bytes = fromHex(text);
  if (bytes.length >= 4) return bytes;
  throw new ServiceError("BAD_INPUT", `command ${index + 1}: ${bytes.length} bytes; a command has at least 4`);
}
