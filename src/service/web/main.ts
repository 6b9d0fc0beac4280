import { Api, type Client, follow, Refusal } from "./api.ts";
import { ApdusView } from "./apdus.ts";
import { element, labelled, Outcome } from "./elements.ts";
import { FilesView } from "./files.ts";
import { TokensView } from "./tokens.ts";
import { TraceView } from "./trace.ts";

/** Milliseconds after which it is looked anew what has expired. */
const TICK = 30_000;

interface View {
  readonly title: string;
  readonly place: HTMLElement;
}

function part(name: string): HTMLElement {
  const found = document.getElementById(name);
  if (!found) throw new Error(`the page has no ${name}`);
  return found;
}

const content = part("content");
const navigation = part("navigation");
const account = part("account");

/** Shows the views of a client, as the address names them. */
function start(api: Api, client: Client, signOut: (() => void) | undefined): void {
  const files = new FilesView(api, client);
  const tokens = new TokensView(api, client, () => {
    files.show(tokens.seen);
  });
  const leaving = new AbortController();
  const views = new Map<string, View>([
    ["cards", tokens],
    ["files", files],
    ["apdus", new ApdusView(api, client)],
    ...(client.trace ? ([["trace", new TraceView(api, leaving.signal)]] as const) : []),
  ]);
  const links = [...views].map(([name, { title }]) => element("a", { href: `#${name}` }, title));
  navigation.replaceChildren(...links);
  navigation.hidden = false;
  const state = element("span", { role: "status" });
  const out = element("button", { type: "button" }, "Sign out");
  out.addEventListener("click", () => {
    leaving.abort();
    signOut?.();
  });
  account.replaceChildren(state, `${client.name} · ${client.roles.join(", ")}`, ...(signOut ? [out] : []));

  const show = (): void => {
    const name = views.has(location.hash.slice(1)) ? location.hash.slice(1) : "cards";
    const view = views.get(name);
    if (!view) return;
    for (const link of links) {
      if (link.hash === `#${name}`) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    document.title = `${view.title} · cryptoki`;
    content.replaceChildren(view.place);
    view.place.querySelector("h1")?.focus();
  };
  window.addEventListener("hashchange", show, { signal: leaving.signal });
  show();

  const tick = setInterval(() => {
    tokens.tick();
  }, TICK);
  leaving.signal.addEventListener("abort", () => {
    clearInterval(tick);
  });
  const failed = (error: unknown): void => {
    state.textContent = error instanceof Error ? error.message : String(error);
  };
  follow(api, "/v1/events", leaving.signal, ({ type, data }) => {
    if (type === "closed") state.textContent = "No connection; trying again.";
    else if (["open", "reset", "token.inserted", "token.removed"].includes(type)) {
      state.textContent = "";
      tokens.reload().catch(failed);
    } else tokens.refresh((data as { readonly token: string }).token).catch(failed);
  }).catch(failed);
}

/** Asks for a bearer token, which stays in the memory of this page. */
function signIn(): void {
  navigation.hidden = true;
  account.replaceChildren();
  const field = element("input", { type: "password", autocomplete: "off", required: true, spellcheck: "false" });
  const button = element("button", { type: "submit", class: "main" }, "Sign in");
  const outcome = new Outcome();
  const form = element(
    "form",
    { class: "panel narrow", "aria-labelledby": "sign-in" },
    element("h1", { id: "sign-in", tabindex: -1 }, "Sign in"),
    element(
      "p",
      { class: "quiet" },
      "The service does not know this browser. Enter the bearer token of a client. It is kept in this page only: reload or close the page, and it is gone.",
    ),
    labelled("Bearer token", field),
    element("div", { class: "actions" }, button),
    outcome.place,
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const api = new Api(field.value);
    void outcome.during(button, async () => {
      try {
        const client = await api.get<Client>("/v1/client");
        field.value = "";
        start(api, client, signIn);
      } catch (error) {
        if (!(error instanceof Refusal && error.status === 401)) throw error;
        outcome.show("The service does not know this token.", "bad");
        field.select();
      }
    });
  });
  content.replaceChildren(form);
  field.focus();
}

/** A browser with a certificate that the configuration names needs no bearer token. */
try {
  const api = new Api(undefined);
  const client = await api.get<Client | undefined>("/v1/client");
  if (client) start(api, client, undefined);
  else signIn();
} catch (error) {
  const outcome = new Outcome();
  outcome.show(error instanceof Error ? error.message : String(error), "bad");
  content.replaceChildren(element("h1", {}, "Smart cards"), outcome.place);
}
