/** Speaks to a card in its own language: selects the PIV application, and asks how many PIN tries are left. */
import { CardChannel, commandText, explainCommand, explainResponse } from "cryptoki/apdu";
import { NO_CARD, openReaders } from "./cards.ts";

const PIV = Uint8Array.of(0xa0, 0, 0, 0x03, 0x08, 0, 0, 0x10, 0);

const pcsc = await openReaders();
try {
  const reader = (await pcsc.readers()).find(({ present }) => present);
  if (!reader) throw new Error(NO_CARD);
  await using connection = await pcsc.connect(reader.name);
  const channel = new CardChannel(async (command, options) => {
    const answer = await connection.transmit(command, options);
    const { status, details } = explainResponse(command, answer);
    console.log(`> ${commandText(explainCommand(command))}`);
    console.log(`< ${status?.code ?? ""} ${status?.name ?? ""}`);
    for (const detail of details) console.log(`    ${detail}`);
    return answer;
  });
  await connection.begin();
  await channel.send({ cla: 0x00, ins: 0xa4, p1: 0x04, p2: 0x00, data: PIV, ne: 256 });
  const { sw } = await channel.send({ cla: 0x00, ins: 0x20, p1: 0x00, p2: 0x80 });
  await connection.end();
  console.log(`tries left: ${sw & 0x0f}`);
} finally {
  await pcsc.close();
}
