package s3

import (
	"github.com/bastide-cloud/bastide/internal/base/awserr"
)

// The errors, worded as S3 words them, with the elements beside the message that clients read.
// Source: Amazon S3 API Reference, "Error responses".

// httpTime is how headers carry times (RFC 9110, section 5.6.7).
const httpTime = "Mon, 02 Jan 2006 15:04:05 GMT"

func fail(code string, status int, message string, fields ...string) *awserr.Error {
	e := awserr.New(code, status, "%s", message)
	for i := 0; i+1 < len(fields); i += 2 {
		if e.Fields == nil {
			e.Fields = map[string]any{}
		}
		e.Fields[fields[i]] = fields[i+1]
	}
	return e
}

func noSuchBucket(name string) error {
	return fail("NoSuchBucket", 404, "The specified bucket does not exist", "BucketName", name)
}

func noSuchKey(key string) *awserr.Error {
	return fail("NoSuchKey", 404, "The specified key does not exist.", "Key", key)
}

func noSuchVersion(key, version string) error {
	return fail("NoSuchVersion", 404, "The specified version does not exist.", "Key", key, "VersionId", version)
}

func noSuchUpload(id string) error {
	return fail("NoSuchUpload", 404, "The specified upload does not exist. The upload ID may be invalid, "+
		"or the upload may have been aborted or completed.", "UploadId", id)
}

func invalidArgument(message, name, value string) error {
	return fail("InvalidArgument", 400, message, "ArgumentName", name, "ArgumentValue", value)
}

func invalidRequest(message string) error {
	return fail("InvalidRequest", 400, message)
}

func malformedXML() error {
	return fail("MalformedXML", 400, "The XML you provided was not well-formed or did not validate against our published schema")
}

func preconditionFailed(condition string) *awserr.Error {
	return fail("PreconditionFailed", 412, "At least one of the pre-conditions you specified did not hold", "Condition", condition)
}

// accessDenied is S3's refusal without a reason.
func accessDenied() error { return awserr.Of(awserr.AccessDenied, "Access Denied") }

// notBuilt refuses a request that asks for what S3 has and Bastide has not.
func notBuilt(what string) error {
	return awserr.Of(awserr.NotImplemented, "A header or query you provided implies functionality that Bastide has not built: %s.", what)
}
