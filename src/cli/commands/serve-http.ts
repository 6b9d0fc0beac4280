import path from "node:path";
import type * as service from "../../service/index.ts";
import type { ListenConfiguration, Listening, ServiceConfiguration } from "../../service/index.ts";
import { loadOptional } from "../../async/index.ts";
import { AuditTrail } from "../../audit/index.ts";
import { defaultSocketFolder, inheritedSocket } from "../../sockets/index.ts";
import { openTokens } from "../../tokens/index.ts";
import type { VirtualPivCard } from "../../virtual/index.ts";
import type { CommandContext } from "../context.ts";
import { FileError, UsageError } from "../output/failures.ts";
import { announce, type Announcement, isInBackground, startInBackground } from "../output/background.ts";
import { programVersion, webPageFolder } from "../version.ts";

export interface ServeHttpOptions {
  /** A file, JSON. */
  readonly config?: string;
  readonly socket?: string;
  readonly foreground?: true;
}

/** Without a configuration: the user who runs the service may do everything through its socket, and gives the PINs. */
const OWN_USER: ServiceConfiguration = {
  clients: [
    {
      name: "local",
      socket: true,
      grants: (["view", "use", "issue", "manage", "admin"] as const).map((role) => ({ role })),
      pinsInRequests: true,
    },
  ],
};

/** Serves the HTTP API until it is interrupted. */
export async function serveHttp(context: CommandContext, options: ServeHttpOptions): Promise<void> {
  const inherited = inheritedSocket(context.environment.env);
  if (inherited !== undefined && options.config === undefined)
    throw new UsageError("a socket that systemd opened wants --config: it is not known which users may connect to it");
  if (inherited === undefined && !options.foreground) {
    const streams = context.options.trace ? "stderr" : "none";
    tell(context, await startInBackground(["--foreground"], streams, context.signal));
    return;
  }
  const start = async (): Promise<Announcement> => {
    const { address } = context.owns(await begin(context, options, inherited));
    return { address, pid: process.pid };
  };
  if (isInBackground(context.environment)) {
    if (!(await announce(start))) return;
  } else {
    const announcement = await start();
    if (inherited === undefined) tell(context, announcement);
  }
  await new Promise<never>(() => undefined);
}

async function begin(
  context: CommandContext,
  { config, socket }: ServeHttpOptions,
  inherited: number | undefined,
): Promise<Listening> {
  const { createService, listen, PracticeCard, readConfiguration, readTls, Secrets, TraceFeed } = await loadService();
  const configuration = config === undefined ? OWN_USER : await readConfiguration(config).catch(asFileError(config));
  if (socket !== undefined && configuration.listen !== undefined)
    throw new UsageError("--socket or the configuration says where to listen, not both");
  const file = socket ?? path.join(defaultSocketFolder(context.environment.env), `http-${process.pid}`);
  const where: ListenConfiguration = configuration.listen ?? { socket: path.resolve(file) };
  const tls = inherited === undefined ? await readTls(where) : undefined;
  const audit =
    configuration.audit === undefined ? undefined : context.owns(await AuditTrail.open(configuration.audit));
  const secrets = new Secrets(configuration.tokens ?? []);
  const trace = configuration.page ? new TraceFeed() : undefined;
  if (trace) {
    context.listen(trace.apdu);
    context.listenToCalls((_line, event) => {
      if (event && "function" in event) trace.call(event);
    });
  }
  const source = context.owns(await openTokens({ cryptoki: await context.cryptoki(), pin: secrets.pin }));
  const app = await createService({
    ...{ source, configuration, secrets, version: programVersion() },
    ...(audit && { audit }),
    ...(tls && { tls }),
    ...(trace && { trace, page: webPageFolder(), practiceCard: new PracticeCard(makePracticeCard) }),
    // One line of JSON for each request, without headers.
    ...(isInBackground(context.environment) ? {} : { logger: { level: "info", stream: process.stderr } }),
  });
  return listen(app, inherited ?? where);
}

async function makePracticeCard(): Promise<VirtualPivCard> {
  const { VirtualPivCard } = await import("../../virtual/index.ts");
  return VirtualPivCard.create();
}

/** @throws {UsageError} naming the packages that are missing. */
async function loadService(): Promise<typeof service> {
  const advice = "serve --http needs two packages beside this one: npm install fastify @fastify/swagger";
  await loadOptional(
    () => Promise.all([import("fastify"), import("@fastify/swagger")]),
    (cause) => new UsageError(advice, { cause }),
  );
  return import("../../service/index.ts");
}

const asFileError =
  (file: string) =>
  (cause: unknown): never => {
    throw new FileError(cause instanceof Error ? cause.message : `${file} cannot be read`, { cause });
  };

function tell({ print }: CommandContext, { address, pid }: Announcement): void {
  if (print.json) print.documentLine({ address, pid });
  else {
    print.line(`export CRYPTOKI_HTTP_ADDRESS=${address}`);
    print.line(`export CRYPTOKI_HTTP_PID=${pid}`);
  }
}
