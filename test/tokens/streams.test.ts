import { expect, test } from "@jest/globals";
import { opened } from "./opened.ts";

const DATA = Buffer.from("a letter to be signed");

test("a stream whose signature cannot be made still passes its data on", async () => {
  await using rig = await opened();
  const key = await rig.token.keys.get({ reference: "9a" });
  const stream = key.signStream({ encoding: "der" });
  const parts = Array.from({ length: 20 }, () => Uint8Array.from(DATA));
  let passed = 0;
  for await (const part of new Blob(parts).stream().pipeThrough(stream)) passed += part.length;
  expect(passed).toBe(20 * DATA.length);
  await expect(stream.signature).rejects.toMatchObject({ name: "TokenError", code: "BAD_INPUT" });
});

test("a source that fails in the middle ends both the stream and its signature", async () => {
  await using rig = await opened();
  const key = await rig.token.keys.get({ reference: "9e" });
  const broken = new Error("the disk failed");
  let count = 0;
  const source = new ReadableStream<Uint8Array>({
    pull: (controller) => {
      if (count++ < 3) controller.enqueue(Uint8Array.from(DATA));
      else controller.error(broken);
    },
  });
  const stream = key.signStream();
  const reading = (async () => {
    for await (const part of source.pipeThrough(stream)) expect(part.length).toBe(DATA.length);
  })();
  await expect(reading).rejects.toBe(broken);
  await expect(stream.signature).rejects.toBe(broken);
});

test("a reader that stops early ends the signature", async () => {
  await using rig = await opened();
  const key = await rig.token.keys.get({ reference: "9e" });
  const stream = key.signStream();
  const source = new ReadableStream<Uint8Array>({
    pull: (controller) => {
      controller.enqueue(Uint8Array.from(DATA));
    },
  });
  for await (const part of source.pipeThrough(stream)) {
    expect(part.length).toBe(DATA.length);
    break;
  }
  await expect(stream.signature).rejects.toBeUndefined();
});

test("six streams in a row sign at the same time", async () => {
  await using rig = await opened();
  const key = await rig.token.keys.get({ reference: "9e" });
  const streams = Array.from({ length: 6 }, () => key.signStream());
  let data: ReadableStream<Uint8Array> = new Blob([DATA]).stream();
  for (const stream of streams) data = data.pipeThrough(stream);
  expect(Buffer.from(await new Response(data).arrayBuffer())).toEqual(DATA);
  const signatures = await Promise.all(streams.map(({ signature }) => signature));
  const publicKey = await key.publicKey();
  for (const signature of signatures) expect(await publicKey.verify(DATA, signature)).toBe(true);
});

test("an abort, and the removal of the card, end the wait for data, and stop its source", async () => {
  await using rig = await opened();
  const key = await rig.token.keys.get({ reference: "9e" });
  for (const end of ["abort", "removal"]) {
    let isRead: () => void = () => undefined;
    const read = new Promise<void>((resolve) => {
      isRead = resolve;
    });
    let cancelled = false;
    const data = new ReadableStream<Uint8Array>(
      {
        pull: () => {
          isRead();
          return new Promise(() => undefined);
        },
        cancel: () => {
          cancelled = true;
        },
      },
      { highWaterMark: 0 },
    );
    const controller = new AbortController();
    const signing = key.sign(data, { signal: controller.signal });
    await read;
    if (end === "abort") {
      controller.abort(new Error("enough"));
      await expect(signing).rejects.toThrow("enough");
    } else {
      rig.readers.eject("Reader");
      await expect(signing).rejects.toMatchObject({ code: "TOKEN_GONE" });
    }
    await new Promise((resolve) => setImmediate(resolve));
    expect(cancelled).toBe(true);
  }
});

test("a source may use its buffer again for each part", async () => {
  await using rig = await opened();
  const key = await rig.token.keys.get({ reference: "82" });
  async function* parts(): AsyncGenerator<Uint8Array> {
    const buffer = new Uint8Array(1);
    for (const byte of DATA) {
      buffer[0] = byte;
      yield Promise.resolve(buffer);
    }
  }
  expect(await (await key.publicKey()).verify(DATA, await key.sign(parts()))).toBe(true);
});
