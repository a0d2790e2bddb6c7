// Microsoft's SDKs for Node.js against a hub: node sdk.js, the hub's JSON line and a device's
// certificate on standard input. One line for each thing that worked; the first failure ends it.
'use strict';
const fs = require('fs');
const https = require('https');
const tls = require('tls');
const { Client: Device, Message } = require('azure-iot-device');
const { Mqtt, MqttWs } = require('azure-iot-device-mqtt');
const { Amqp, AmqpWs } = require('azure-iot-device-amqp');
const { Client: Service, Registry } = require('azure-iothub');

const PATIENCE = 20000;
const given = JSON.parse(fs.readFileSync(0, 'utf8'));
const hub = given.hub;
const ca = fs.readFileSync(hub.ca_file, 'utf8');
const key = hub.service_connection_string.split('SharedAccessKey=')[1];

// The SDKs dial 443, and 8883 or 5671 where no port is given: only that is changed.
const request = https.request;
https.request = (options, ...rest) => {
  if (options.hostname === 'localhost' || options.host === 'localhost') {
    options.port = hub.https_port;
  }
  return request.call(https, options, ...rest);
};
const connect = tls.connect;
tls.connect = (...args) => {
  const usual = { 443: hub.https_port, 8883: hub.mqtt_port, 5671: hub.amqp_port };
  return connect(...args.map((arg) => {
    if (arg && typeof arg === 'object') {
      return usual[arg.port] ? Object.assign(arg, { port: usual[arg.port] }) : arg;
    }
    return usual[arg] || arg;
  }));
};

function within(promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(what + ': nothing happened')), PATIENCE);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

// The SDK detaches its link with the last listener: one stays, and next() gives what it heard.
function heard(emitter, name) {
  const waiting = [];
  const arrived = [];
  emitter.on(name, (value) => (waiting.length ? waiting.shift()(value) : arrived.push(value)));
  return () => new Promise((resolve) => {
    if (arrived.length) resolve(arrived.shift());
    else waiting.push(resolve);
  });
}

function ok(what) {
  console.log('ok ' + what);
}

function equal(actual, expected, what) {
  if (JSON.stringify(actual) !== JSON.stringify(expected)) {
    throw new Error(what + ': ' + JSON.stringify(actual) + ', not ' + JSON.stringify(expected));
  }
}

const serviceText = 'HostName=localhost;SharedAccessKeyName=iothubowner;SharedAccessKey=' + key;
const registry = Registry.fromConnectionString(serviceText);
const service = Service.fromConnectionString(serviceText);

async function telemetry(client, name) {
  const message = new Message(JSON.stringify({ from: name }));
  message.messageId = 'id of ' + name;
  message.contentType = 'application/json';
  message.contentEncoding = 'utf-8';
  message.properties.add('a b', 'c&d');
  await client.sendEvent(message);
  ok(name + ' telemetry');
}

async function messages(client, name, feedback) {
  const next = heard(client, 'message');
  for (const outcome of /amqp/.test(name) ? ['complete', 'reject', 'abandon'] : ['complete']) {
    const message = { data: 'to ' + name, messageId: name + ' ' + outcome, ack: 'full' };
    const sent = new (require('azure-iot-common').Message)(message.data);
    sent.messageId = message.messageId;
    sent.ack = 'full';
    sent.properties.add('colour', 'grün');
    await service.send(name, sent);
    let got = await within(next(), name + ' message');
    equal(got.data.toString(), message.data, 'data');
    equal(got.messageId, message.messageId, 'messageId');
    equal(got.properties.getValue('colour'), 'grün', 'property');
    if (outcome === 'abandon') {
      await client.abandon(got);
      got = await within(next(), name + ' message again');
      equal(got.messageId, message.messageId, 'messageId of the abandoned');
      await client.complete(got);
    } else {
      await client[outcome](got);
    }
    const status = outcome === 'reject' ? 'Rejected' : 'Success';
    equal(await within(feedback(message.messageId), 'feedback'), status, 'feedback');
    ok(name + ' ' + outcome);
  }
}

async function twin(client, name) {
  const device = await within(client.getTwin(), name + ' twin');
  const told = new Promise((resolve) => device.on('properties.desired', (patch) => {
    if (patch.speed) resolve(patch.speed);
  }));
  const reported = new Promise((resolve, reject) => {
    device.properties.reported.update({ seen: { by: name } }, (e) => (e ? reject(e) : resolve()));
  });
  await within(reported, name + ' reported');
  const seen = (await registry.getTwin(name)).responseBody;
  equal(seen.properties.reported.seen, { by: name }, 'reported');
  await registry.updateTwin(name, { properties: { desired: { speed: 7 } } }, '*');
  equal(await within(told, name + ' desired'), 7, 'desired');
  ok(name + ' twin');
}

async function methods(client, name) {
  const ready = new Promise((resolve) => {
    client.onDeviceMethod('go', (call, response) => {
      response.send(201, { you: call.payload }, () => {});
    });
    resolve();
  });
  await ready;
  const call = { methodName: 'go', payload: [1, null], connectTimeoutInSeconds: 10,
    responseTimeoutInSeconds: 10 };
  const { result } = await within(service.invokeDeviceMethod(name, call), name + ' method')
    .then((answer) => ({ result: answer.result || answer }));
  equal([result.status, result.payload], [201, { you: [1, null] }], 'method');
  ok(name + ' method');
}

async function feedbacks() {
  const answer = await service.getFeedbackReceiver();
  const receiver = answer.result || answer;
  const known = {};
  const waiting = {};
  receiver.on('message', (batch) => {
    for (const record of JSON.parse(batch.data.toString())) {
      known[record.originalMessageId] = record.statusCode;
      if (waiting[record.originalMessageId]) waiting[record.originalMessageId](record.statusCode);
    }
    receiver.complete(batch, () => {});
  });
  return (id) => new Promise((resolve) => {
    if (known[id]) resolve(known[id]);
    waiting[id] = resolve;
  });
}

async function devices(feedback) {
  for (const [name, transport] of Object.entries({
    'node-mqtt': Mqtt, 'node-mqtt-ws': MqttWs, 'node-amqp': Amqp, 'node-amqp-ws': AmqpWs,
  })) {
    const made = (await registry.create({ deviceId: name })).responseBody;
    const deviceKey = made.authentication.symmetricKey.primaryKey;
    const text = 'HostName=localhost;DeviceId=' + name + ';SharedAccessKey=' + deviceKey;
    const client = Device.fromConnectionString(text, transport);
    await client.setOptions({ ca });
    await within(client.open(), name + ' open');
    await telemetry(client, name);
    await messages(client, name, feedback);
    await twin(client, name);
    await methods(client, name);
    await within(client.close(), name + ' close');
  }
}

async function certificates() {
  for (const [name, transport] of Object.entries({ 'x509-mqtt': Mqtt, 'x509-amqp': Amqp })) {
    const thumbprint = { primaryThumbprint: given.thumbprint };
    await registry.create({
      deviceId: name, authentication: { type: 'selfSigned', x509Thumbprint: thumbprint },
    });
    const client = Device.fromConnectionString(
      'HostName=localhost;DeviceId=' + name + ';x509=true', transport);
    await client.setOptions({ ca, cert: given.cert, key: given.key });
    await within(client.open(), name + ' open');
    await telemetry(client, name);
    await within(client.close(), name + ' close');
  }
}

async function refusal() {
  const text = 'HostName=localhost;DeviceId=node-mqtt;SharedAccessKey=' + key;
  for (const [name, transport] of Object.entries({ mqtt: Mqtt, amqp: Amqp })) {
    const client = Device.fromConnectionString(text, transport);
    await client.setOptions({ ca });
    const error = await within(client.open().then(() => null, (e) => e), 'refusal');
    equal(error && error.name, 'UnauthorizedError', name + ' with a wrong key');
    ok(name + ' refusal');
  }
}

async function main() {
  await within(service.open(), 'service open');
  const feedback = await feedbacks();
  await devices(feedback);
  await certificates();
  await refusal();
  await service.close();
}

main().then(() => process.exit(0), (error) => {
  console.log('FAILED', error.stack || error);
  process.exit(1);
});
