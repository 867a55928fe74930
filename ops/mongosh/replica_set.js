// The replica set: who is primary, who lags and by how much, and how far back a member that was away can catch up.
//
//     mongosh "$URI" ops/mongosh/replica_set.js

load(`${__dirname}/shared.js`);

const admin = db.getSiblingDB("admin");
const set = admin.runCommand({ replSetGetStatus: 1 });
const primary = set.members.find((member) => member.state === 1);
show(
  set.members.map((member) => ({
    ...member,
    lag: primary && [1, 2].includes(member.state) ? duration((primary.optimeDate - member.optimeDate) / 1000) : "",
    heard: member.self ? "" : age(member.lastHeartbeatRecv, set.date),
    says: member.lastHeartbeatMessage,
  })),
  ["name", "stateStr", "health", "lag", "heard", "pingMs", "syncSourceHost", "electionDate", "says"],
);

const up = set.members.filter((member) => member.health === 1 && [1, 2].includes(member.state)).length;
if (!primary) print("\nThere is NO primary: nothing can be written");
print(`\nup       ${up} of ${set.members.length}, ${set.majorityVoteCount} are needed to write`);
const { optimes } = set;
print(`majority ${duration((optimes.lastAppliedWallTime - optimes.lastCommittedWallTime) / 1000)} behind this member`);

const { oplog, flowControl } = admin.runCommand({ serverStatus: 1, oplog: 1, metrics: 0, wiredTiger: 0 });
const spanned = oplog.latestOptime.getHighBits() - oplog.earliestOptime.getHighBits();
print(`oplog    ${duration(spanned)}: a member that was away for longer must be copied anew`);
if (flowControl && flowControl.isLagged) print("writes   are SLOWED DOWN, so that the majority keeps up");
