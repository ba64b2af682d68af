import time

from story import ACCOUNT, REGION, client, wrong

logs = client("logs")
GROUP = "/story/app"
ARN = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{GROUP}"

logs.create_log_group(logGroupName=GROUP, tags={"team": "blue"})
wrong("ResourceAlreadyExistsException", logs.create_log_group, logGroupName=GROUP)
logs.create_log_group(logGroupName="/story/other")
found = logs.describe_log_groups(logGroupNamePrefix="/story/")["logGroups"]
assert [g["logGroupName"] for g in found] == ["/story/app", "/story/other"], found
assert found[0]["arn"] == ARN + ":*", found[0]
assert "retentionInDays" not in found[0]
logs.put_retention_policy(logGroupName=GROUP, retentionInDays=7)
assert logs.describe_log_groups(logGroupNamePrefix=GROUP)["logGroups"][0]["retentionInDays"] == 7
wrong("InvalidParameterException", logs.put_retention_policy, logGroupName=GROUP, retentionInDays=8)
logs.delete_retention_policy(logGroupName=GROUP)
assert "retentionInDays" not in logs.describe_log_groups(logGroupNamePrefix=GROUP)["logGroups"][0]

logs.create_log_stream(logGroupName=GROUP, logStreamName="one")
logs.create_log_stream(logGroupName=GROUP, logStreamName="two")
wrong("ResourceAlreadyExistsException", logs.create_log_stream, logGroupName=GROUP, logStreamName="one")
wrong("ResourceNotFoundException", logs.create_log_stream, logGroupName="/story/none", logStreamName="one")

now = int(time.time() * 1000)
events = [{"timestamp": now - 5000 + n, "message": f"line {n} {'ERROR' if n % 3 == 0 else 'ok'}"} for n in range(10)]
logs.put_log_events(logGroupName=GROUP, logStreamName="one", logEvents=events)
logs.put_log_events(logGroupName=GROUP, logStreamName="two", logEvents=[{"timestamp": now, "message": '{"level":"ERROR","code":7}'}])
wrong("ResourceNotFoundException", logs.put_log_events, logGroupName=GROUP, logStreamName="none", logEvents=events)
wrong("InvalidParameterException", logs.put_log_events, logGroupName=GROUP, logStreamName="one", logEvents=list(reversed(events)))
old = logs.put_log_events(logGroupName=GROUP, logStreamName="one", logEvents=[{"timestamp": now - 15 * 86400 * 1000, "message": "ancient"}])
assert old["rejectedLogEventsInfo"]["tooOldLogEventEndIndex"] == 1, old

first = logs.get_log_events(logGroupName=GROUP, logStreamName="one", startFromHead=True, limit=4)
assert [e["message"] for e in first["events"]] == [e["message"] for e in events[:4]], first
then = logs.get_log_events(logGroupName=GROUP, logStreamName="one", startFromHead=True, nextToken=first["nextForwardToken"])
assert [e["message"] for e in then["events"]] == [e["message"] for e in events[4:]], then
end = logs.get_log_events(logGroupName=GROUP, logStreamName="one", startFromHead=True, nextToken=then["nextForwardToken"])
assert end["events"] == [] and end["nextForwardToken"] == then["nextForwardToken"], end
back = logs.get_log_events(logGroupName=GROUP, logStreamName="one", startFromHead=True, nextToken=then["nextBackwardToken"])
assert [e["message"] for e in back["events"]] == [e["message"] for e in events[:4]], back

every = [e["message"] for page in logs.get_paginator("filter_log_events").paginate(logGroupName=GROUP, PaginationConfig={"PageSize": 3}) for e in page["events"]]
assert len(every) == 11, every
bad = [e["message"] for e in logs.filter_log_events(logGroupName=GROUP, filterPattern="ERROR")["events"]]
assert len(bad) == 5, bad
some = logs.filter_log_events(logGroupName=GROUP, logStreamNames=["one"], filterPattern="ERROR -0", startTime=now - 5000, endTime=now - 4994)["events"]
assert {e["logStreamName"] for e in some} <= {"one"} and some, some
fields = [e["message"] for e in logs.filter_log_events(logGroupName=GROUP, filterPattern="{ $.code = 7 }")["events"]]
assert fields == ['{"level":"ERROR","code":7}'], fields

streams = logs.describe_log_streams(logGroupName=GROUP, orderBy="LastEventTime", descending=True)["logStreams"]
assert [s["logStreamName"] for s in streams] == ["two", "one"], streams
assert streams[1]["firstEventTimestamp"] == events[0]["timestamp"] and streams[1]["lastEventTimestamp"] == events[-1]["timestamp"], streams[1]
logs.delete_log_stream(logGroupName=GROUP, logStreamName="two")
wrong("ResourceNotFoundException", logs.get_log_events, logGroupName=GROUP, logStreamName="two")

logs.tag_resource(resourceArn=ARN, tags={"cost": "7"})
assert logs.list_tags_for_resource(resourceArn=ARN)["tags"] == {"team": "blue", "cost": "7"}
logs.untag_resource(resourceArn=ARN, tagKeys=["team"])
logs.tag_log_group(logGroupName=GROUP, tags={"old": "way"})
assert logs.list_tags_log_group(logGroupName=GROUP)["tags"] == {"cost": "7", "old": "way"}
logs.untag_log_group(logGroupName=GROUP, tags=["old", "cost"])
assert logs.list_tags_for_resource(resourceArn=ARN)["tags"] == {}

# Each region keeps its own.
assert client("logs", region="eu-west-1").describe_log_groups(logGroupNamePrefix="/story/")["logGroups"] == []

logs.delete_log_group(logGroupName=GROUP)
logs.delete_log_group(logGroupName="/story/other")
wrong("ResourceNotFoundException", logs.delete_log_group, logGroupName=GROUP)
wrong("ResourceNotFoundException", logs.filter_log_events, logGroupName=GROUP)
