// Registers users with better-auth, as a request to its handler.

import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { parseArgs } from "node:util";

import { Algorithm, hash, verify } from "@node-rs/argon2";
import { betterAuth } from "better-auth";
import { getMigrations } from "better-auth/db/migration";
import Database from "better-sqlite3";
import pg from "pg";

const PASSWORD = "correct horse battery staple";
const WARM_UP = 5;
const OF_TRANSACTIONS = /^\s*(begin|start|commit|end|rollback|savepoint|release)\b/i;

const { values: options } = parseArgs({
  options: {
    database: { type: "string" },
    prepare: { type: "boolean" },
    count: { type: "string", default: "100" },
    "memory-kib": { type: "string", default: "19456" },
    passes: { type: "string", default: "2" },
    "count-statements": { type: "boolean" },
  },
});

const statements = [];
const note = options["count-statements"] ? (statement) => statements.push(statement) : undefined;
const database = options.database.startsWith("sqlite://") ? openSqlite() : openPostgres();

function openSqlite() {
  const file = new Database(options.database.replace("sqlite://", ""), { timeout: 5000, verbose: note });
  file.pragma("journal_mode = WAL");
  file.pragma("synchronous = NORMAL");
  file.pragma("cache_size = -16384");
  return file;
}

function openPostgres() {
  const pool = new pg.Pool({ connectionString: options.database });
  if (note) {
    pool.on("connect", (client) => {
      const query = client.query;
      client.query = (statement, ...others) => {
        note(statement.text ?? statement);
        return query.call(client, statement, ...others);
      };
    });
  }
  return pool;
}

const cost = {
  algorithm: Algorithm.Argon2id,
  memoryCost: Number(options["memory-kib"]),
  timeCost: Number(options.passes),
  parallelism: 1,
};
const settings = {
  baseURL: "http://localhost:3000",
  secret: "of no use, but it has to be long enough",
  database,
  // A registration and no more, as with the others.
  emailAndPassword: {
    enabled: true,
    autoSignIn: false,
    password: { hash: (password) => hash(password, cost), verify: ({ hash, password }) => verify(hash, password) },
  },
  rateLimit: { enabled: false },
  telemetry: { enabled: false },
  // What is refused is counted.
  logger: { disabled: true },
};
const auth = betterAuth(settings);

async function register() {
  const name = `person${randomUUID().replaceAll("-", "")}`;
  const request = new Request("http://localhost:3000/api/auth/sign-up/email", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ name, email: `${name}@example.org`, password: PASSWORD }),
  });
  const response = await auth.handler(request);
  const answer = await response.json();
  return response.status === 200 && answer.user !== undefined;
}

function report(started, cpuBefore, created) {
  const elapsed = performance.now() - started;
  const cpu = process.cpuUsage(cpuBefore);
  const ofTransactions = statements.filter((statement) => OF_TRANSACTIONS.test(statement)).length;
  const figures = {
    elapsed_s: elapsed / 1e3,
    cpu_s: (cpu.user + cpu.system) / 1e6,
    created,
    statements: note ? statements.length - ofTransactions : null,
    transaction_statements: note ? ofTransactions : null,
    peak_kib: process.resourceUsage().maxRSS,
  };
  console.log(JSON.stringify(figures));
}

async function main() {
  if (options.prepare) {
    const { runMigrations } = await getMigrations(settings);
    return runMigrations();
  }
  for (let done = 0; done < WARM_UP; done++) await register();
  statements.length = 0;
  console.log("ready");
  await once(process.stdin, "data");
  const cpuBefore = process.cpuUsage();
  const started = performance.now();
  let created = 0;
  for (let done = 0; done < Number(options.count); done++) created += await register();
  report(started, cpuBefore, created);
}

await main();
process.exit();
