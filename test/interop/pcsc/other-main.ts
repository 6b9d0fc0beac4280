/** A second program at the card: does what its parent says, one call for each message, until it is ended. */
import { type CardConnection, Pcscd, PcscError } from "../../../src/pcsc/index.ts";

const [, , reader = ""] = process.argv;
const pcsc = new Pcscd({ patience: 500 });
let connection: CardConnection | undefined;

export type OtherCall = "connect" | "connectExclusively" | "begin" | "end" | "reset" | "transmit" | "disconnect";

async function perform(call: OtherCall): Promise<unknown> {
  if (call === "connect" || call === "connectExclusively") {
    connection = await pcsc.connect(reader, { share: call === "connect" ? 2 : 1 });
    return undefined;
  }
  if (!connection) throw new PcscError("SCARD_E_INVALID_HANDLE");
  switch (call) {
    case "begin":
      return connection.begin();
    case "end":
      return connection.end();
    case "reset":
      return connection.reconnect(1);
    case "transmit":
      return (await connection.transmit(Uint8Array.of(0, 0xca, 0, 0))).length;
    case "disconnect":
      return connection.disconnect();
  }
}

process.on("message", (call: OtherCall) => {
  perform(call).then(
    () => process.send?.("done"),
    (error: unknown) => process.send?.(error instanceof PcscError ? error.codeName : String(error)),
  );
});
process.send?.("ready");
