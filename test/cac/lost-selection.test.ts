import { describe, expect, test } from "@jest/globals";
import { PIN } from "./applet-card.ts";
import { insert, type Inserted, listedApplets, privateKey } from "./cards.ts";

const BLOCK = new Uint8Array(256).fill(1);

const certificates = ({
  objects,
}: Inserted): readonly {
  isPresent(search: { explicitlyRequested: boolean }): Promise<boolean>;
  value(): Promise<Uint8Array>;
}[] => objects.filter((object) => object.class === "certificate");

describe("a CAC that loses its selection in the middle of a transaction", () => {
  test("is read on after a new SELECT, and no certificate of it is missing", async () => {
    const rig = await insert(listedApplets());
    const [first] = certificates(rig);
    expect(await first?.isPresent({ explicitlyRequested: true })).toBe(true);
    rig.card.loseSelection();
    const before = rig.card.commands.length;
    expect((await first?.value())?.length).toBeGreaterThan(500);
    const sent = rig.card.commands.slice(before).map((command) => command.slice(0, 4));
    expect(sent.slice(0, 3)).toEqual(["8052", "00a4", "00a4"]);
  });

  test("signs after a new SELECT", async () => {
    const rig = await insert(listedApplets());
    await rig.token.login("user", PIN);
    const key = privateKey(rig, "0001");
    await rig.token.use(key, "rsa-raw", BLOCK);
    rig.card.loseSelection();
    expect(await rig.token.use(key, "rsa-raw", BLOCK)).toHaveLength(256);
  });

  test("never gets a PIN twice for it: the next login selects", async () => {
    const rig = await insert(listedApplets());
    expect(await rig.token.pinStatus("user")).toMatchObject({ triesLeft: 3 });
    rig.card.loseSelection();
    await expect(rig.token.login("user", PIN)).rejects.toThrow("6D00");
    expect(rig.card.commands.filter((command) => command.startsWith("0020000008"))).toHaveLength(1);
    await rig.token.login("user", PIN);
    expect(await rig.token.pinStatus("user")).toMatchObject({ verified: true });
  });
});

test("a buffer that the card refuses in earnest is asked for once more, and not for ever", async () => {
  const rig = await insert(listedApplets());
  const [first] = certificates(rig);
  await first?.isPresent({ explicitlyRequested: true });
  const { card } = rig;
  const transmit = card.transmit.bind(card);
  let asked = 0;
  card.transmit = (command) => {
    if (command[1] !== 0x52) return transmit(command);
    asked++;
    return Promise.resolve(Uint8Array.of(0x69, 0x00));
  };
  await expect(first?.value()).rejects.toThrow("6900");
  expect(asked).toBe(2);
});
