import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { plugIntoVpcd } from "../../../src/virtual/index.ts";
import { testCard } from "../../virtual/keys.ts";
import { type Pcscd, startPcscd } from "../rig/pcscd.ts";
import { requirePrograms } from "../rig/require.ts";
import { SshWorkplace } from "./workplace.ts";

let daemon: Pcscd;
let plug: AsyncDisposable;
let place: SshWorkplace;
let repository: string;

beforeAll(async () => {
  requirePrograms("git", "openssl", "ssh-add");
  daemon = await startPcscd({ friendlyName: "Git" });
  plug = await plugIntoVpcd(await testCard(), { port: daemon.port });
  place = new SshWorkplace(daemon.env, "123456");
  for (let tries = 0; tries < 500 && (await place.run("cryptoki", "tokens")).code !== 0;) tries++;
  const read = ["read", "--id", "01", "--type", "cert", "--format", "pem"];
  place.file("me.pem", await place.succeed("cryptoki", ...read));
  repository = place.file("repository");
  const made = await place.shell(
    [
      "git init -q -b main repository; cd repository",
      "git config user.name Me; git config user.email me@example.org",
      "git config gpg.format x509; git config gpg.x509.program cryptoki-git-sign",
      "git config user.signingkey ../me.pem; git config commit.gpgsign true",
    ].join("\n"),
  );
  expect([made.code, made.stderr]).toEqual([0, ""]);
}, 1_000_000);

afterAll(async () => {
  await place[Symbol.asyncDispose]();
  await plug[Symbol.asyncDispose]();
  await daemon[Symbol.asyncDispose]();
}, 60_000);

const git = (script: string) => place.shell(script, repository);

test("a commit is signed with the card, and verified once its certificate is trusted", async () => {
  const made = await git("git commit -q -S --allow-empty -m first");
  expect([made.code, made.stderr]).toEqual([0, ""]);
  expect(place.asked()).toBe(1);
  const stranger = await git("git verify-commit HEAD");
  expect([stranger.code, stranger.stderr]).toEqual([1, expect.stringMatching(/whom nothing says to trust/)]);
  expect((await git("git config cryptoki.trusted ../me.pem; git verify-commit HEAD")).code).toBe(0);
  expect((await git("git log --format='%G? %GF'")).stdout).toMatch(/^G [0-9a-f]{64}$/mu);
});

test("the signature is a CMS message that openssl verifies", async () => {
  const script = [
    "git cat-file commit HEAD > commit",
    "sed -n '/^gpgsig/,/END/p' commit | sed 's/^gpgsig //; s/^ //; s/SIGNED MESSAGE/CMS/' > signature.pem",
    "sed '/^gpgsig/,/END/d' commit > signed",
    "openssl cms -verify -binary -inform PEM -in signature.pem -content signed -CAfile ../me.pem -purpose any -out /dev/null",
  ];
  const { code, stderr } = await git(script.join("\n"));
  expect([code, stderr]).toEqual([0, expect.stringMatching(/CMS Verification successful/)]);
});

test("a changed commit, and one of a certificate that is not trusted, do not verify", async () => {
  const changed = await git(
    "git cat-file commit HEAD | sed s/first/other/ | git hash-object -t commit -w --stdin | xargs git verify-commit --raw",
  );
  expect(changed.code).not.toBe(0);
  expect(changed.stderr).toMatch(/^\[GNUPG:\] BADSIG/mu);
  const other = await git(
    "openssl req -x509 -newkey rsa:2048 -nodes -keyout k -out ../other.pem -subj /CN=Other -days 2 2>/dev/null; " +
      "git config cryptoki.trusted ../other.pem; git verify-commit --raw HEAD; git config cryptoki.trusted ../me.pem",
  );
  expect(other.stderr).toMatch(/^\[GNUPG:\] ERRSIG/mu);
  expect(other.stderr).toMatch(/leads to none that is trusted/);
});

test("the certificate is named by its fingerprint or its URI, too; another name lists those that there are", async () => {
  const fingerprint = (await git("git log -1 --format=%GF")).stdout.trim();
  for (const name of [fingerprint, "'pkcs11:id=%01;type=cert'"]) {
    const { code, stderr } = await git(`git -c user.signingkey=${name} commit -q --allow-empty -m second`);
    expect([code, stderr]).toEqual([0, ""]);
  }
  const { code, stderr } = await git("git -c user.signingkey=you@example.org commit --allow-empty -m third");
  expect(code).not.toBe(0);
  expect(stderr).toContain(`${fingerprint}  `);
  expect(stderr).toMatch(/no certificate on a card fits "you@example.org"/);
});

test("through the agent a rebase of 42 commits asks for the PIN once", async () => {
  await place.startAgent();
  for (let tries = 0; tries < 500 && (await place.run("ssh-add", "-l")).code !== 0;) tries++;
  place.asked();
  const { code, stdout, stderr } = await git(
    [
      "for i in $(seq 40); do echo $i > f$i; git add f$i; git commit -qm $i --no-gpg-sign; done",
      "git rebase -q --force-rebase --root; git log --format=%G? | sort | uniq -c",
    ].join("\n"),
  );
  expect([code, stderr]).toEqual([0, ""]);
  expect(stdout.trim()).toBe("43 G");
  expect(place.asked()).toBe(1);
  // Without the card: the certificate is in a file, and the agent says why.
  await plug[Symbol.asyncDispose]();
  const failed = await git("git commit --allow-empty -m late");
  expect(failed.code).not.toBe(0);
  expect(failed.stderr).toMatch(/put the card in|no card|agent refused|reader/iu);
}, 120_000);

test("bytes of a file that is no signature are told", async () => {
  place.file("no", "no signature");
  const { code, stdout } = await place.run(
    "cryptoki-git-sign",
    "--status-fd=1",
    "--verify",
    place.file("no"),
    place.file("me.pem"),
  );
  expect([code, stdout]).toEqual([1, "[GNUPG:] NEWSIG\n[GNUPG:] NODATA 4\n"]);
});
