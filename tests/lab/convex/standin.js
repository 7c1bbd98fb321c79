// The program inside the stand-in: what a container notices of the self-hosted Convex backend, and nothing more.
//
// It takes the backend's flags, answers /version once its data is loaded, keeps what it acknowledged, drains on SIGINT
// and dies on SIGTERM. There are no deployments: the few functions below are built in. The file named on the command
// line is a journal of JSON lines, not SQLite. Plain JavaScript without imports, so that nothing is compiled at start.

const NAME = "convex-local-backend stand-in";

const VALUE_FLAGS = {
  "interface": "0.0.0.0",
  "port": "3210",
  "site-proxy-port": "3211",
  "convex-origin": undefined,
  "convex-site": undefined,
  "instance-name": undefined,
  "instance-secret": undefined,
  "local-storage": "convex_local_storage",
};
const SWITCHES = ["disable-beacon", "help", "version"];
const DEFAULT_DATABASE = "convex_local_backend.sqlite3";

const HELP = `${NAME}: answers like the self-hosted Convex backend, for tests only

Usage: convex-local-backend [OPTIONS] [DATABASE]

  [DATABASE]                     journal of the stand-in [default: ${DEFAULT_DATABASE}]
  --interface <IPV4>             address of both ports [default: ${VALUE_FLAGS["interface"]}]
  --port <PORT>                  0 takes a free one and logs it [default: ${VALUE_FLAGS["port"]}]
  --site-proxy-port <PORT>       port for HTTP actions [default: ${VALUE_FLAGS["site-proxy-port"]}]
  --convex-origin <URL>          checked and otherwise unused, as is --convex-site
  --convex-site <URL>
  --instance-name <NAME>
  --instance-secret <HEX>        64 lower-case hexadecimal digits, always the same for the same data
  --local-storage <DIR>          made where it is missing [default: ${VALUE_FLAGS["local-storage"]}]
  --disable-beacon               accepted: there is no beacon
  --help
  --version`;

class Refusal extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

function usage(message) {
  return new Refusal(`${message}\n\nFor more information, try '--help'.`, 2);
}

function log(message) {
  console.log(`${new Date().toISOString()} INFO stand-in: ${message}`);
}

function fail(error) {
  console.error(`${new Date().toISOString()} ERROR stand-in: ${error.message}`);
  Deno.exit(error instanceof Refusal ? error.status : 1);
}

// Command line -------------------------------------------------------------------------------------------------------

function parseFlags(args) {
  const given = new Map();
  const positional = [];
  const rest = [...args];
  while (rest.length > 0) {
    const argument = rest.shift();
    if (!argument.startsWith("-")) {
      positional.push(argument);
      continue;
    }
    const [, flag, inline] = /^--([^=]*)(?:=(.*))?$/s.exec(argument) ?? [];
    const isSwitch = SWITCHES.includes(flag);
    if (!isSwitch && !Object.hasOwn(VALUE_FLAGS, flag)) throw usage(`unexpected argument '${argument}' found`);
    if (given.has(flag)) throw usage(`the argument '--${flag}' cannot be used multiple times`);
    if (isSwitch && inline !== undefined) throw usage(`unexpected value '${inline}' for '--${flag}' found`);
    const value = isSwitch ? true : inline ?? rest.shift();
    if (value === undefined) throw usage(`a value is required for '--${flag}' but none was supplied`);
    given.set(flag, value);
  }
  if (positional.length > 1) throw usage(`unexpected argument '${positional[1]}' found`);
  return { ...VALUE_FLAGS, ...Object.fromEntries(given), database: positional[0] ?? DEFAULT_DATABASE };
}

function checkFlags(flags) {
  // The secret first: the real backend's own message for it ends the start, whatever else is wrong.
  if (flags["instance-secret"] === undefined) {
    throw new Refusal("--instance-secret is required. Generate one with `openssl rand -hex 32`", 1);
  }
  if (!/^[0-9a-f]{64}$/.test(flags["instance-secret"])) {
    throw new Refusal("--instance-secret must be 64 lower-case hexadecimal digits", 1);
  }
  if (flags["instance-name"] === undefined) throw usage("--instance-secret requires --instance-name");
  for (const [one, other] of [["convex-origin", "convex-site"], ["convex-site", "convex-origin"]]) {
    if (flags[one] === undefined) continue;
    if (flags[other] === undefined) throw usage(`--${one} requires --${other}`);
    if (!/^(https?:\/\/|$)/.test(flags[one])) {
      throw new Refusal(`--${one} should start with https:// or http:// but got '${flags[one]}'`, 1);
    }
  }
  for (const flag of ["port", "site-proxy-port"]) {
    if (!/^\d{1,5}$/.test(flags[flag]) || Number(flags[flag]) > 65535) {
      throw usage(`invalid value '${flags[flag]}' for '--${flag}'`);
    }
  }
  const octets = flags["interface"].split(".");
  if (octets.length !== 4 || !octets.every((octet) => /^\d{1,3}$/.test(octet) && Number(octet) < 256)) {
    throw usage(`invalid value '${flags["interface"]}' for '--interface': invalid IPv4 address`);
  }
}

// Data ---------------------------------------------------------------------------------------------------------------

// A file of JSON lines, the first of which tells whose data it is. What is not on the disk is not acknowledged.
class Journal {
  #file;
  #size = 0;
  #waiting = [];
  #writing = null;

  // Returns the journal and the records in it; those of a new file are none.
  static async open(path, fingerprint) {
    const journal = new Journal();
    journal.#file = await Deno.open(path, { read: true, write: true, create: true });
    await journal.#lock(path);
    const lines = await journal.#load(path);
    if (lines.length === 0) {
      await journal.append({ fingerprint });
      await syncFolder(path);
    } else if (lines[0].fingerprint !== fingerprint) {
      throw new Refusal(`${path} was made with another --instance-secret, or is no journal of the stand-in`, 1);
    }
    return [journal, lines.slice(1)];
  }

  // Two processes would cut off each other's lines. A process that was just killed may need a moment to let go.
  async #lock(path) {
    const impatience = new Promise((_, reject) => {
      setTimeout(() => reject(new Refusal(`${path} is in use by another process`, 1)), 1000);
    });
    await Promise.race([this.#file.lock(true), impatience]);
  }

  async #load(path) {
    const text = await Deno.readTextFile(path);
    const lines = text.split("\n");
    // What follows the last line feed was never acknowledged: the process ended while it was written.
    const torn = lines.pop();
    if (torn !== "") {
      log(`dropped a torn last line of ${path}`);
      await this.#file.truncate(new TextEncoder().encode(text.slice(0, text.length - torn.length)).length);
    }
    this.#size = await this.#file.seek(0, Deno.SeekMode.End);
    return lines.map((line, index) => {
      try {
        return JSON.parse(line);
      } catch {
        throw new Refusal(`${path}: line ${index + 1} is damaged, or this is no journal of the stand-in`, 1);
      }
    });
  }

  // Resolves when the record is on the disk.
  append(record) {
    const written = new Promise((resolve, reject) => this.#waiting.push({ record, resolve, reject }));
    this.#writing ??= this.#write();
    return written;
  }

  // Whatever came in during one sync shares the next, or the disk would allow only a few hundred mutations a second.
  async #write() {
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0);
      const lines = new TextEncoder().encode(batch.map(({ record }) => `${JSON.stringify(record)}\n`).join(""));
      const problem = await this.#writeLines(lines);
      for (const { resolve, reject } of batch) problem ? reject(problem) : resolve();
    }
    this.#writing = null;
  }

  async #writeLines(lines) {
    try {
      for (let written = 0; written < lines.length;) written += await this.#file.write(lines.subarray(written));
    } catch (error) {
      // A full volume costs these mutations only, provided that no half line is left for the next ones to follow.
      await this.#file.truncate(this.#size).catch(fail);
      await this.#file.seek(this.#size, Deno.SeekMode.Start);
      return error;
    }
    // After a failed sync nobody knows what is on the disk; a new start reads it and does.
    await this.#file.syncData().catch(fail);
    this.#size += lines.length;
    return null;
  }

  async close() {
    await this.#writing;
    await this.#file.sync();
    this.#file.close();
  }
}

// A new file's name is on the disk only once its folder is.
async function syncFolder(path) {
  const folder = await Deno.open(path.replace(/[^/]*$/, "") || ".", { read: true });
  await folder.sync();
  folder.close();
}

async function fingerprintOf(secret) {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(secret));
  return new Uint8Array(digest).toHex();
}

class Database {
  #journal;
  #tables = { activity: new Map(), documents: new Map() };
  #lastTime = 0;

  constructor(journal, records) {
    this.#journal = journal;
    for (const record of records) this.#apply(record);
  }

  #apply({ table, key, document }) {
    this.#tables[table].set(key, document);
    this.#lastTime = Math.max(this.#lastTime, document._creationTime);
  }

  // Readers see a record once it is durable, or they could be told of what a crash then takes back.
  async #store(record) {
    await this.#journal.append(record);
    this.#apply(record);
    return record.document._id;
  }

  // Creation times of Convex are distinct and rise, whatever the machine's clock does.
  #newDocument(fields) {
    this.#lastTime = Math.max(Date.now(), this.#lastTime + 0.001);
    const bytes = crypto.getRandomValues(new Uint8Array(32));
    const id = Array.from(bytes, (byte) => "0123456789abcdefghjkmnpqrstvwxyz"[byte % 32]).join("");
    return { _id: id, _creationTime: this.#lastTime, ...fields };
  }

  addActivity({ kind, text }) {
    const document = this.#newDocument({ kind, text });
    return this.#store({ table: "activity", key: document._id, document });
  }

  listActivity({ limit = Infinity }) {
    return [...this.#tables.activity.values()].reverse().slice(0, limit);
  }

  putDocument({ key, value }) {
    const earlier = this.#tables.documents.get(key);
    const document = earlier ? { ...earlier, value } : this.#newDocument({ key, value });
    return this.#store({ table: "documents", key, document });
  }

  getDocument({ key }) {
    return this.#tables.documents.get(key)?.value ?? null;
  }

  close() {
    return this.#journal.close();
  }
}

// HTTP ---------------------------------------------------------------------------------------------------------------

const string = (value) => typeof value === "string";
const count = (value) => Number.isInteger(value) && value >= 0;
const optional = (check) => (value) => value === undefined || check(value);
const any = (value) => value !== undefined;

const FUNCTIONS = {
  query: {
    "activity:list": { args: { limit: optional(count) }, run: (database, args) => database.listActivity(args) },
    "documents:get": { args: { key: string }, run: (database, args) => database.getDocument(args) },
  },
  mutation: {
    "activity:add": { args: { kind: string, text: string }, run: (database, args) => database.addActivity(args) },
    "documents:put": { args: { key: string, value: any }, run: (database, args) => database.putDocument(args) },
  },
};

function answer(status, body) {
  const isText = typeof body === "string";
  return new Response(isText ? body : JSON.stringify(body), {
    status,
    headers: { "server": "convex stand-in", "content-type": isText ? "text/plain; charset=utf-8" : "application/json" },
  });
}

function isObject(value) {
  return value !== null && typeof value === "object" && !Array.isArray(value);
}

// What a function throws is an answer with status 200; a request that is no call of a function is answered with 400.
async function call(database, type, request) {
  const bad = (message) => answer(400, { code: "BadJsonBody", message });
  let body;
  try {
    body = await request.json();
  } catch {
    return bad("Failed to parse the request body as JSON");
  }
  if (!isObject(body) || !string(body.path)) return bad("missing field `path`");
  if (!isObject(body.args)) return bad("missing field `args`: an object of named arguments");
  if ((body.format ?? "json") !== "json") return bad("unknown `format`: only `json` is supported");

  const failed = (errorMessage) => answer(200, { status: "error", errorMessage });
  const path = body.path.replace(/\.js(?=:|$)/, "");
  if (!Object.hasOwn(FUNCTIONS[type], path)) {
    return failed(`Could not find public ${type} for '${body.path}': the stand-in has only its own functions.`);
  }
  const { args, run } = FUNCTIONS[type][path];
  const unknown = Object.keys(body.args).find((name) => !Object.hasOwn(args, name));
  if (unknown !== undefined) {
    return failed(`ArgumentValidationError: Object contains extra field \`${unknown}\` that is not in the validator.`);
  }
  const wrong = Object.keys(args).find((name) => !args[name](body.args[name]));
  if (wrong !== undefined) return failed(`ArgumentValidationError: field \`${wrong}\` is missing or of a wrong type.`);
  try {
    return answer(200, { status: "success", value: await run(database, body.args) });
  } catch (error) {
    log(`${path} failed: ${error.message}`);
    return failed(`Server Error: ${error.message}`);
  }
}

// The real protocol needs Convex's own client. An echo shows a gateway's work: upgrade, messages both ways, long life.
function echo(request, sockets) {
  if (request.headers.get("upgrade")?.toLowerCase() !== "websocket") return answer(400, "WebSocket upgrade expected");
  const { socket, response } = Deno.upgradeWebSocket(request);
  socket.onopen = () => sockets.add(socket);
  socket.onmessage = ({ data }) => socket.send(data);
  socket.onclose = () => sockets.delete(socket);
  response.headers.set("server", "convex stand-in");
  return response;
}

function backend(database, sockets) {
  return (request) => {
    const { pathname } = new URL(request.url);
    const [, type] = /^\/api\/(query|mutation)$/.exec(pathname) ?? [];
    if (type) return request.method === "POST" ? call(database, type, request) : answer(405, "Method not allowed");
    if (pathname === "/version") return answer(200, NAME);
    if (/^\/api\/([^/]+\/)?sync$/.test(pathname)) return echo(request, sockets);
    if (pathname === "/metrics" && Deno.env.get("DISABLE_METRICS_ENDPOINT") !== "true") {
      return answer(200, `stand_in_websockets ${sockets.size}\n`);
    }
    if (pathname.startsWith("/http/")) return answer(404, "This Convex deployment does not have HTTP actions enabled.");
    return answer(404, "Not found (stand-in)");
  };
}

function siteProxy(request) {
  if (new URL(request.url).pathname === "/version") return answer(200, "unknown");
  return answer(404, "This Convex deployment does not have HTTP actions enabled.");
}

function listen(hostname, port, handler) {
  try {
    return Deno.serve({ hostname, port: Number(port), handler, onListen() {} });
  } catch (error) {
    throw new Refusal(`cannot listen on ${hostname}:${port}: ${error.message}`, 1);
  }
}

// Life ---------------------------------------------------------------------------------------------------------------

async function serve(flags) {
  const start = performance.now();
  await Deno.mkdir(flags["local-storage"], { recursive: true });
  const database = new Database(...await Journal.open(flags.database, await fingerprintOf(flags["instance-secret"])));

  const sockets = new Set();
  const hostname = flags["interface"];
  const servers = [
    listen(hostname, flags["port"], backend(database, sockets)),
    listen(hostname, flags["site-proxy-port"], siteProxy),
  ];
  const [port, sitePort] = servers.map((server) => server.addr.port);
  const took = Math.round(performance.now() - start);
  log(`${flags["instance-name"]} ready on ${hostname}:${port}, site proxy on ${sitePort}, data loaded in ${took} ms`);

  // SIGINT only: like the real backend, this one is ended at once by SIGTERM, which nothing here listens to.
  let draining = false;
  Deno.addSignalListener("SIGINT", async () => {
    if (draining) return;
    draining = true;
    log("draining");
    for (const socket of sockets) socket.close(1001, "stand-in is draining");
    await Promise.all(servers.map((server) => server.shutdown()));
    await database.close();
    log("drained");
    Deno.exit(0);
  });
}

async function main() {
  const flags = parseFlags(Deno.args);
  if (flags.help) return console.log(HELP);
  if (flags.version) return console.log(`${NAME} (deno ${Deno.version.deno}, V8 ${Deno.version.v8})`);
  checkFlags(flags);
  await serve(flags);
}

await main().catch(fail);
