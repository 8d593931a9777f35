// One round through the npm mqtt client: connect, subscribe, every QoS, properties, retained, will,
// end. Arguments: URL, protocol version (4 or 5), prefix of ids and topics. Prints "ok" at the end.
import mqtt from 'mqtt'

const [url, version, prefix] = process.argv.slice(2)
const options = {
  protocolVersion: Number(version), clientId: prefix, rejectUnauthorized: false,
  connectTimeout: 10000, reconnectPeriod: 0
}
const client = await mqtt.connectAsync(url, options)
const seen = []
let wake = () => {}
client.on('message', (topic, payload, packet) => { seen.push({ topic, payload, packet }); wake() })
const next = async () => {
  while (!seen.length) await new Promise(resolve => { wake = resolve })
  return seen.shift()
}
const check = (truth, text) => { if (!truth) { console.error(text); process.exit(1) } }

await client.subscribeAsync(`${prefix}/#`, { qos: 2 })
for (const qos of [0, 1, 2]) {
  for (const size of [1, 200, 70000]) {
    const payload = Buffer.alloc(size, 65 + qos)
    const properties = version === '5' ? { userProperties: { a: 'b' }, contentType: 'x' } : undefined
    await client.publishAsync(`${prefix}/${qos}`, payload, { qos, properties })
    const got = await next()
    check(got.topic === `${prefix}/${qos}` && got.payload.equals(payload), `QoS ${qos}, ${size}`)
    check(got.packet.qos === qos, 'the QoS')
    if (version === '5') check(got.packet.properties.userProperties.a === 'b', 'user properties')
  }
}
const dying = await mqtt.connectAsync(url, {
  ...options, clientId: prefix + '-dying', will: { topic: `${prefix}/will`, payload: 'gone', qos: 1 }
})
dying.on('error', () => {})
dying.stream.destroy()
const will = await next()
check(will.topic === `${prefix}/will` && will.payload.toString() === 'gone', 'the will')
await client.endAsync()
console.log('ok')
