import hashlib
import io
import json
import urllib.error
import urllib.request

from boto3.s3.transfer import TransferConfig
from botocore import UNSIGNED
from story import ACCOUNT, client, policy, wrong

s3 = client("s3")
BUCKET = "story-bucket"


def body(key, **more):
    return s3.get_object(Bucket=BUCKET, Key=key, **more)["Body"].read()


# Buckets.
s3.create_bucket(Bucket=BUCKET)
s3.head_bucket(Bucket=BUCKET)
s3.create_bucket(Bucket=BUCKET)  # one's own in us-east-1 is no error
assert BUCKET in [b["Name"] for b in s3.list_buckets()["Buckets"]]
west = client("s3", region="eu-west-1")
west.create_bucket(Bucket="story-west", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
assert s3.get_bucket_location(Bucket=BUCKET)["LocationConstraint"] is None
assert west.get_bucket_location(Bucket="story-west")["LocationConstraint"] == "eu-west-1"
wrong("BucketAlreadyOwnedByYou", west.create_bucket, Bucket="story-west", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
wrong("404", s3.head_bucket, Bucket="story-none")
wrong("NoSuchBucket", s3.list_objects_v2, Bucket="story-none")
wrong("InvalidBucketName", s3.create_bucket, Bucket="Story_Bucket")
s3.get_waiter("bucket_exists").wait(Bucket=BUCKET)

# Objects: metadata, checksums, ranges, conditions.
put = s3.put_object(Bucket=BUCKET, Key="a/one.txt", Body=b"hello world", ContentType="text/plain", Metadata={"owner": "ann"}, ChecksumAlgorithm="SHA256",
                    CacheControl="no-cache", Tagging="team=blue")
assert put["ETag"] == '"%s"' % hashlib.md5(b"hello world").hexdigest(), put
got = s3.get_object(Bucket=BUCKET, Key="a/one.txt", ChecksumMode="ENABLED")
assert got["Body"].read() == b"hello world" and got["ContentType"] == "text/plain" and got["Metadata"] == {"owner": "ann"}, got
assert got["ChecksumSHA256"] == put["ChecksumSHA256"] and got["CacheControl"] == "no-cache" and got["TagCount"] == 1, got
head = s3.head_object(Bucket=BUCKET, Key="a/one.txt")
assert head["ContentLength"] == 11 and head["ETag"] == put["ETag"], head
part = s3.get_object(Bucket=BUCKET, Key="a/one.txt", Range="bytes=6-")
assert part["Body"].read() == b"world" and part["ContentRange"] == "bytes 6-10/11", part
assert body("a/one.txt", Range="bytes=-3") == b"rld"
wrong("InvalidRange", s3.get_object, Bucket=BUCKET, Key="a/one.txt", Range="bytes=11-")
wrong("304", s3.get_object, Bucket=BUCKET, Key="a/one.txt", IfNoneMatch=put["ETag"])
wrong("PreconditionFailed", s3.get_object, Bucket=BUCKET, Key="a/one.txt", IfMatch='"other"')
wrong("PreconditionFailed", s3.put_object, Bucket=BUCKET, Key="a/one.txt", Body=b"x", IfNoneMatch="*")
wrong("NoSuchKey", s3.get_object, Bucket=BUCKET, Key="a/none")
wrong("404", s3.head_object, Bucket=BUCKET, Key="a/none")
s3.put_object(Bucket=BUCKET, Key="empty")
assert body("empty") == b""
odd = "päth/with spaces+&=?#%/ü~.txt"
s3.put_object(Bucket=BUCKET, Key=odd, Body=b"odd")
assert body(odd) == b"odd"
attributes = s3.get_object_attributes(Bucket=BUCKET, Key="a/one.txt", ObjectAttributes=["ETag", "ObjectSize", "Checksum", "StorageClass"])
assert attributes["ObjectSize"] == 11 and attributes["ETag"] == put["ETag"].strip('"'), attributes

# Tags and access lists of objects.
assert s3.get_object_tagging(Bucket=BUCKET, Key="a/one.txt")["TagSet"] == [{"Key": "team", "Value": "blue"}]
s3.put_object_tagging(Bucket=BUCKET, Key="a/one.txt", Tagging={"TagSet": [{"Key": "cost", "Value": "7"}]})
assert s3.get_object_tagging(Bucket=BUCKET, Key="a/one.txt")["TagSet"] == [{"Key": "cost", "Value": "7"}]
s3.delete_object_tagging(Bucket=BUCKET, Key="a/one.txt")
assert s3.get_object_tagging(Bucket=BUCKET, Key="a/one.txt")["TagSet"] == []
grants = s3.get_object_acl(Bucket=BUCKET, Key="a/one.txt")["Grants"]
assert [g["Permission"] for g in grants] == ["FULL_CONTROL"], grants

# Copies.
s3.copy_object(Bucket=BUCKET, Key="b/copy.txt", CopySource={"Bucket": BUCKET, "Key": "a/one.txt"})
copied = s3.get_object(Bucket=BUCKET, Key="b/copy.txt")
assert copied["Body"].read() == b"hello world" and copied["Metadata"] == {"owner": "ann"}, copied
s3.copy_object(Bucket=BUCKET, Key="b/copy.txt", CopySource={"Bucket": BUCKET, "Key": "a/one.txt"}, MetadataDirective="REPLACE", Metadata={"owner": "bob"})
assert s3.head_object(Bucket=BUCKET, Key="b/copy.txt")["Metadata"] == {"owner": "bob"}
wrong("NoSuchKey", s3.copy_object, Bucket=BUCKET, Key="x", CopySource={"Bucket": BUCKET, "Key": "none"})

# Lists: prefixes, pages, folders.
for n in range(5):
    s3.put_object(Bucket=BUCKET, Key=f"list/{n}/leaf", Body=b"x")
folders = s3.list_objects_v2(Bucket=BUCKET, Prefix="list/", Delimiter="/")
assert [p["Prefix"] for p in folders["CommonPrefixes"]] == [f"list/{n}/" for n in range(5)] and "Contents" not in folders, folders
pages = list(s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix="list/", PaginationConfig={"PageSize": 2}))
assert len(pages) == 3 and [o["Key"] for p in pages for o in p["Contents"]] == [f"list/{n}/leaf" for n in range(5)], pages
old = s3.list_objects(Bucket=BUCKET, Prefix="list/", Delimiter="/", MaxKeys=2)
assert old["IsTruncated"] and old["NextMarker"] == "list/1/", old
rest = s3.list_objects(Bucket=BUCKET, Prefix="list/", Delimiter="/", Marker=old["NextMarker"])
assert len(rest["CommonPrefixes"]) == 3, rest
assert odd in [o["Key"] for o in s3.list_objects_v2(Bucket=BUCKET)["Contents"]]
gone = s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": f"list/{n}/leaf"} for n in range(5)] + [{"Key": "list/none"}]})
assert len(gone["Deleted"]) == 6 and "Errors" not in gone, gone
assert s3.list_objects_v2(Bucket=BUCKET, Prefix="list/")["KeyCount"] == 0

# Multipart uploads, by hand and as the transfer manager does them.
five = 5 << 20
up = s3.create_multipart_upload(Bucket=BUCKET, Key="big", ContentType="application/x-big", Metadata={"m": "1"})["UploadId"]
parts = [s3.upload_part(Bucket=BUCKET, Key="big", UploadId=up, PartNumber=1, Body=b"a" * five)["ETag"]]
s3.put_object(Bucket=BUCKET, Key="source", Body=b"b" * (five + 3))
parts.append(s3.upload_part_copy(Bucket=BUCKET, Key="big", UploadId=up, PartNumber=2, CopySource={"Bucket": BUCKET, "Key": "source"}, CopySourceRange=f"bytes=0-{five - 1}")["CopyPartResult"]["ETag"])
parts.append(s3.upload_part(Bucket=BUCKET, Key="big", UploadId=up, PartNumber=3, Body=b"end")["ETag"])
assert [p["PartNumber"] for p in s3.list_parts(Bucket=BUCKET, Key="big", UploadId=up)["Parts"]] == [1, 2, 3]
assert [u["UploadId"] for u in s3.list_multipart_uploads(Bucket=BUCKET)["Uploads"]] == [up]
wrong("InvalidPart", s3.complete_multipart_upload, Bucket=BUCKET, Key="big", UploadId=up, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": '"%s"' % ("0" * 32)}]})
wrong("InvalidPartOrder", s3.complete_multipart_upload, Bucket=BUCKET, Key="big", UploadId=up,
      MultipartUpload={"Parts": [{"PartNumber": 2, "ETag": parts[1]}, {"PartNumber": 1, "ETag": parts[0]}]})
done = s3.complete_multipart_upload(Bucket=BUCKET, Key="big", UploadId=up, MultipartUpload={"Parts": [{"PartNumber": n + 1, "ETag": e} for n, e in enumerate(parts)]})
assert done["ETag"].endswith('-3"'), done
big = s3.get_object(Bucket=BUCKET, Key="big")
assert big["Body"].read() == b"a" * five + b"b" * five + b"end" and big["ContentType"] == "application/x-big" and big["Metadata"] == {"m": "1"}, big["ETag"]
assert body("big", PartNumber=3) == b"end"
up = s3.create_multipart_upload(Bucket=BUCKET, Key="never")["UploadId"]
s3.abort_multipart_upload(Bucket=BUCKET, Key="never", UploadId=up)
wrong("NoSuchUpload", s3.upload_part, Bucket=BUCKET, Key="never", UploadId=up, PartNumber=1, Body=b"x")
content = b"0123456789abcdef" * (600 << 10)
s3.upload_fileobj(io.BytesIO(content), BUCKET, "transfer", Config=TransferConfig(multipart_threshold=5 << 20, multipart_chunksize=5 << 20))
into = io.BytesIO()
s3.download_fileobj(BUCKET, "transfer", into)
assert into.getvalue() == content

# An empty body is announced with Expect like any other; the connection serves the next put at once.
hasty = client("s3", read_timeout=10)
for n in range(3):
    hasty.put_object(Bucket=BUCKET, Key=f"folder{n}/", Body=b"")
    hasty.put_object(Bucket=BUCKET, Key=f"folder{n}/a", Body=b"a")
    wrong("PreconditionFailed", hasty.put_object, Bucket=BUCKET, Key=f"folder{n}/", Body=b"", IfNoneMatch="*")
    assert hasty.get_object(Bucket=BUCKET, Key=f"folder{n}/a")["Body"].read() == b"a"

# Presigned URLs. boto3 signs them with version 2 unless told.
link = s3.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": odd, "ResponseContentType": "text/odd"}, ExpiresIn=60)
assert "AWSAccessKeyId" in link, link
answer = urllib.request.urlopen(link)
assert answer.read() == b"odd" and answer.headers["Content-Type"] == "text/odd", answer.headers
for worse in (link.replace("%20", "%21"), link.replace("Expires=", "Expires=9"), link + "&attributes", link + "&x-amz-acl=public-read"):
    try:
        urllib.request.urlopen(worse)
        raise AssertionError("taken: " + worse)
    except urllib.error.HTTPError as e:
        assert e.code == 403, e
link = s3.generate_presigned_url("put_object", Params={"Bucket": BUCKET, "Key": "signed2", "ContentType": "text/x", "Metadata": {"who": "ann"}}, ExpiresIn=60)
urllib.request.urlopen(urllib.request.Request(link, data=b"by URL", method="PUT", headers={"Content-Type": "text/x"}))
assert body("signed2") == b"by URL" and s3.head_object(Bucket=BUCKET, Key="signed2")["Metadata"] == {"who": "ann"}
link = s3.generate_presigned_url("list_objects_v2", Params={"Bucket": BUCKET, "Prefix": "signed2"}, ExpiresIn=60)
assert b"<Key>signed2</Key>" in urllib.request.urlopen(link).read()
signing = client("s3", signature_version="s3v4")
link = signing.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": odd}, ExpiresIn=60)
assert urllib.request.urlopen(link).read() == b"odd"
link = signing.generate_presigned_url("put_object", Params={"Bucket": BUCKET, "Key": "signed", "ContentType": "text/x"}, ExpiresIn=60)
urllib.request.urlopen(urllib.request.Request(link, data=b"by URL", method="PUT", headers={"Content-Type": "text/x"}))
assert body("signed") == b"by URL"
try:
    urllib.request.urlopen(signing.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": odd}, ExpiresIn=60).replace("%20", "%21"))
    raise AssertionError("another key by the same signature")
except urllib.error.HTTPError as e:
    assert e.code == 403, e

# Versions.
assert "Status" not in s3.get_bucket_versioning(Bucket=BUCKET)
s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
assert s3.get_bucket_versioning(Bucket=BUCKET)["Status"] == "Enabled"
v1 = s3.put_object(Bucket=BUCKET, Key="v", Body=b"1")["VersionId"]
v2 = s3.put_object(Bucket=BUCKET, Key="v", Body=b"2")["VersionId"]
assert body("v") == b"2" and body("v", VersionId=v1) == b"1"
marker = s3.delete_object(Bucket=BUCKET, Key="v")
assert marker["DeleteMarker"], marker
wrong("NoSuchKey", s3.get_object, Bucket=BUCKET, Key="v")
versions = s3.list_object_versions(Bucket=BUCKET, Prefix="v")
assert [v["VersionId"] for v in versions["Versions"]] == [v2, v1] and versions["DeleteMarkers"][0]["IsLatest"], versions
s3.delete_object(Bucket=BUCKET, Key="v", VersionId=marker["VersionId"])
assert body("v") == b"2"

# The bucket's settings. Public access is blocked from the start.
block = s3.get_public_access_block(Bucket=BUCKET)["PublicAccessBlockConfiguration"]
assert all(block.values()) and len(block) == 4, block
public = policy({"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{BUCKET}/a/*"})
wrong("AccessDenied", s3.put_bucket_policy, Bucket=BUCKET, Policy=public)
stranger = client("s3", signature_version=UNSIGNED)
wrong("AccessDenied", stranger.get_object, Bucket=BUCKET, Key="a/one.txt")
s3.put_public_access_block(Bucket=BUCKET, PublicAccessBlockConfiguration={"BlockPublicAcls": True, "IgnorePublicAcls": True, "BlockPublicPolicy": False, "RestrictPublicBuckets": False})
s3.put_bucket_policy(Bucket=BUCKET, Policy=public)
assert json.loads(s3.get_bucket_policy(Bucket=BUCKET)["Policy"]) == json.loads(public)
assert s3.get_bucket_policy_status(Bucket=BUCKET)["PolicyStatus"]["IsPublic"] is True
assert stranger.get_object(Bucket=BUCKET, Key="a/one.txt")["Body"].read() == b"hello world"
wrong("AccessDenied", stranger.get_object, Bucket=BUCKET, Key="empty")
wrong("AccessDenied", stranger.put_object, Bucket=BUCKET, Key="a/two", Body=b"x")
s3.put_public_access_block(Bucket=BUCKET, PublicAccessBlockConfiguration={"BlockPublicAcls": True, "IgnorePublicAcls": True, "BlockPublicPolicy": True, "RestrictPublicBuckets": True})
wrong("AccessDenied", stranger.get_object, Bucket=BUCKET, Key="a/one.txt")
s3.delete_public_access_block(Bucket=BUCKET)
wrong("NoSuchPublicAccessBlockConfiguration", s3.get_public_access_block, Bucket=BUCKET)
s3.delete_bucket_policy(Bucket=BUCKET)
wrong("NoSuchBucketPolicy", s3.get_bucket_policy, Bucket=BUCKET)
wrong("MalformedPolicy", s3.put_bucket_policy, Bucket=BUCKET, Policy="{")

# A bucket's policy denies even its administrator.
s3.put_bucket_policy(Bucket=BUCKET, Policy=policy({"Effect": "Deny", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{BUCKET}/secret/*"}))
s3.put_object(Bucket=BUCKET, Key="secret/x", Body=b"x")
wrong("AccessDenied", s3.get_object, Bucket=BUCKET, Key="secret/x")
s3.delete_bucket_policy(Bucket=BUCKET)

rule = s3.get_bucket_encryption(Bucket=BUCKET)["ServerSideEncryptionConfiguration"]["Rules"][0]["ApplyServerSideEncryptionByDefault"]
assert rule["SSEAlgorithm"] == "AES256", rule
s3.put_bucket_encryption(Bucket=BUCKET, ServerSideEncryptionConfiguration={"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]})
s3.delete_bucket_encryption(Bucket=BUCKET)
s3.put_bucket_tagging(Bucket=BUCKET, Tagging={"TagSet": [{"Key": "team", "Value": "blue"}]})
assert s3.get_bucket_tagging(Bucket=BUCKET)["TagSet"] == [{"Key": "team", "Value": "blue"}]
s3.delete_bucket_tagging(Bucket=BUCKET)
wrong("NoSuchTagSet", s3.get_bucket_tagging, Bucket=BUCKET)
assert s3.get_bucket_ownership_controls(Bucket=BUCKET)["OwnershipControls"]["Rules"] == [{"ObjectOwnership": "BucketOwnerEnforced"}]
s3.put_bucket_ownership_controls(Bucket=BUCKET, OwnershipControls={"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]})
assert s3.get_bucket_acl(Bucket=BUCKET)["Grants"][0]["Permission"] == "FULL_CONTROL"
s3.put_bucket_acl(Bucket=BUCKET, ACL="private")
wrong("AccessControlListNotSupported", s3.put_bucket_acl, Bucket=BUCKET, ACL="public-read")
s3.delete_bucket_ownership_controls(Bucket=BUCKET)
rules = [{"AllowedMethods": ["GET"], "AllowedOrigins": ["https://app.example"], "AllowedHeaders": ["*"], "MaxAgeSeconds": 60}]
wrong("NotImplemented", s3.put_bucket_cors, Bucket=BUCKET, CORSConfiguration={"CORSRules": rules})
wrong("NoSuchCORSConfiguration", s3.get_bucket_cors, Bucket=BUCKET)

# All gone again.
wrong("BucketNotEmpty", s3.delete_bucket, Bucket=BUCKET)
for page in s3.get_paginator("list_object_versions").paginate(Bucket=BUCKET):
    every = [{"Key": v["Key"], "VersionId": v["VersionId"]} for v in page.get("Versions", []) + page.get("DeleteMarkers", [])]
    assert "Errors" not in s3.delete_objects(Bucket=BUCKET, Delete={"Objects": every, "Quiet": True})
s3.delete_bucket(Bucket=BUCKET)
west.delete_bucket(Bucket="story-west")
wrong("NoSuchBucket", s3.delete_bucket, Bucket=BUCKET)
assert ACCOUNT
