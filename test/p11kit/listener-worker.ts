import { parentPort, workerData } from "node:worker_threads";
import { Cryptoki } from "../../src/cryptoki/index.ts";
import { P11KitServer } from "../../src/p11kit/index.ts";
import { MemoryReaders } from "../../src/pcsc/index.ts";

/** Serves in a thread of its own, until it is told to end. */
const pcsc = new MemoryReaders().client();
const { slots } = new Cryptoki({ pcsc, profiles: [] });
const server = await P11KitServer.listen(workerData as string, { application: () => new Cryptoki({ slots }) });
parentPort?.postMessage(server.address);
parentPort?.once("message", () => {
  void server[Symbol.asyncDispose]()
    .then(() => pcsc.close())
    .then(() => parentPort?.close());
});
