package wire

// Limits are how much of a request's body front reads before it is routed, by service, in bytes.
// Sources: the services' quotas pages; a Lambda package of 50 MB travels as base64 in JSON.
var bodyLimits = map[string]int64{
	"dynamodb":       16 << 20,
	"lambda":         70 << 20,
	"apigateway":     6 << 20,
	"apigatewayv2":   6 << 20,
	"cloudformation": 2 << 20,
	"s3":             4 << 20, // documents: DeleteObjects, CompleteMultipartUpload, policies
	"logs":           2 << 20,
}

const defaultBodyLimit = 1 << 20

func (s *Service) bodyLimit() int64 {
	if s != nil {
		if n, ok := bodyLimits[s.ID]; ok {
			return n
		}
	}
	return defaultBodyLimit
}
