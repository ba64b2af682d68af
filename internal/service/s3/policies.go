package s3

import (
	"errors"
	"strings"

	api "github.com/bastide-cloud/bastide/internal/api/s3"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/policy"
	"github.com/bastide-cloud/bastide/internal/service/s3/public"
	"github.com/bastide-cloud/bastide/internal/wire"
)

const maxPolicy = 20 << 10 // bytes

// needPolicy is an action on the bucket's policy. It is the owner's account's alone, and no policy
// locks out that account's root.
func needPolicy[In any](s *Service, action string, of func(*In) (string, *string)) func(*gate.Ask, *In) ([]gate.Need, error) {
	return func(a *gate.Ask, in *In) ([]gate.Need, error) {
		p, err := s.at(a, first(of(in)), second(of(in)))
		if err != nil {
			return nil, err
		}
		n := p.need(action)
		if a.Principal().ARN() == "arn:aws:iam::"+p.Account+":root" {
			n.Policy = nil
		}
		return []gate.Need{n}, nil
	}
}

// owners refuses other accounts, whatever the policy allows them.
func owners(c *gate.Call, b *bucket) error {
	if c.Account() == b.Account {
		return nil
	}
	return fail("MethodNotAllowed", 405, "The specified method is not allowed against this resource.", "ResourceType", "BUCKETPOLICY")
}

func malformedPolicy(message string) error { return fail("MalformedPolicy", 400, message) }

// parsePolicy reads a policy that is to stand on the bucket, and refuses one that does not speak
// of it.
func parsePolicy(b *bucket, text string) (*policy.Policy, error) {
	if !strings.HasPrefix(strings.TrimLeft(text, " \t\r\n"), "{") {
		return nil, malformedPolicy("Policies must be valid JSON and the first byte must be '{'")
	}
	if len(text) > maxPolicy {
		return nil, fail("PolicyTooLarge", 400, "Your policy exceeds the maximum allowed document size.")
	}
	doc, err := policy.Parse([]byte(text), policy.Resource)
	if err != nil {
		return nil, malformedPolicy(wording(err))
	}
	for i := range doc.Len() {
		if err := b.speaksOf(doc.Statement(i)); err != nil {
			return nil, err
		}
	}
	return doc, nil
}

// wording says what is wrong as S3 does where it has words for it.
func wording(err error) string {
	e, ok := errors.AsType[*policy.Error](err)
	if !ok {
		return err.Error()
	}
	detail := strings.ToLower(e.Message + " " + e.Detail)
	for _, w := range [][2]string{{"must contain actions", "Missing required field Action"}, {"must contain resources", "Missing required field Resource"},
		{"principal", "Invalid principal in policy"}, {"vendor", "Policy has invalid action"}} {
		if strings.Contains(detail, w[0]) {
			return w[1] + " (" + e.Error() + ")"
		}
	}
	return "This policy contains invalid Json or elements (" + e.Error() + ")"
}

// speaksOf: a statement's resources are the bucket and its objects, its actions S3's.
func (b *bucket) speaksOf(st *policy.Statement) error {
	for _, list := range [][]string{st.Resources, st.NotResources} {
		for _, r := range list {
			name, ok := strings.CutPrefix(r, "arn:aws:s3:::")
			name, _, _ = strings.Cut(name, "/")
			if !ok || !wildcard(name, b.Name) {
				return malformedPolicy("Policy has invalid resource")
			}
		}
	}
	object, whole := false, false
	for _, r := range append(st.Resources, st.NotResources...) {
		object = object || strings.ContainsAny(r, "/*")
		whole = whole || !strings.Contains(r, "/")
	}
	for _, list := range [][]string{st.Actions, st.NotActions} {
		for _, a := range list {
			prefix, verb, _ := strings.Cut(a, ":")
			switch {
			case a == "*":
			case !strings.EqualFold(prefix, "s3"):
				return malformedPolicy("Policy has invalid action")
			case len(st.Actions) > 0 && !strings.ContainsAny(verb, "*?") && (ofObject(verb) && !object || !ofObject(verb) && !whole):
				return malformedPolicy("Action does not apply to any resource(s) in statement")
			}
		}
	}
	return nil
}

// ofObject tells the actions on objects from those on buckets.
func ofObject(verb string) bool {
	verb = strings.ToLower(verb)
	return strings.Contains(verb, "object") && !strings.Contains(verb, "objectlockconfiguration") || verb == "abortmultipartupload" ||
		verb == "listmultipartuploadparts" || verb == "bypassgovernanceretention" || strings.HasPrefix(verb, "replicate")
}

// wildcard reports whether the pattern, in which a star is anything and a question mark one
// character, matches the name.
func wildcard(pattern, name string) bool {
	star, from := -1, 0 // the last star, and how much of name it stands for the end of
	p, n := 0, 0
	for n < len(name) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, from = p, n
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == name[n]):
			p, n = p+1, n+1
		case star >= 0:
			from++
			p, n = star+1, from
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

func (s *Service) putBucketPolicy(c *gate.Call, in *api.PutBucketPolicyInput) (*api.PutBucketPolicyOutput, error) {
	b, err := s.read(c, in.Bucket)
	if err == nil {
		err = owners(c, b)
	}
	if err != nil {
		return nil, err
	}
	doc, err := parsePolicy(b, in.Policy)
	if err != nil {
		return nil, err
	}
	text, names, err := c.Bind(doc)
	if _, ok := errors.AsType[*policy.Error](err); ok {
		return nil, malformedPolicy(wording(err))
	}
	if err != nil {
		return nil, err
	}
	return &api.PutBucketPolicyOutput{}, s.change(c, in.Bucket, func(b *bucket) error {
		if err := owners(c, b); err != nil {
			return err
		}
		if b.Block != nil && b.Block.Policy && public.Policy(doc) {
			return awserr.Of(awserr.AccessDenied, "User: %s is not authorized to perform: s3:PutBucketPolicy on resource: %q because public policies "+
				"are blocked by the BlockPublicPolicy block public access setting.", c.Principal().ARN(), b.arn())
		}
		b.Policy, b.PolicyNames = text, names
		return nil
	})
}

func noSuchPolicy(b *bucket) error {
	return fail("NoSuchBucketPolicy", 404, "The bucket policy does not exist", "BucketName", b.Name)
}

func (s *Service) getBucketPolicy(c *gate.Call, in *api.GetBucketPolicyInput) (*api.GetBucketPolicyOutput, error) {
	b, err := s.read(c, in.Bucket)
	if err == nil {
		err = owners(c, b)
	}
	switch {
	case err != nil:
		return nil, err
	case b.Policy == "":
		return nil, noSuchPolicy(b)
	}
	text, err := c.Unbind(b.Policy, b.PolicyNames)
	return &api.GetBucketPolicyOutput{Policy: &text}, err
}

func (s *Service) deleteBucketPolicy(c *gate.Call, in *api.DeleteBucketPolicyInput) (*api.DeleteBucketPolicyOutput, error) {
	return &api.DeleteBucketPolicyOutput{}, s.change(c, in.Bucket, func(b *bucket) error {
		b.Policy, b.PolicyNames = "", nil
		return owners(c, b)
	})
}

func (s *Service) getBucketPolicyStatus(c *gate.Call, in *api.GetBucketPolicyStatusInput) (*api.GetBucketPolicyStatusOutput, error) {
	b, err := s.read(c, in.Bucket)
	switch {
	case err != nil:
		return nil, err
	case b.Policy == "":
		return nil, noSuchPolicy(b)
	}
	doc, err := policy.Parse([]byte(b.Policy), policy.Resource)
	if err != nil {
		return nil, err
	}
	return &api.GetBucketPolicyStatusOutput{PolicyStatus: &api.PolicyStatus{IsPublic: new(public.Policy(doc))}}, nil
}

func (s *Service) getPublicAccessBlock(c *gate.Call, in *api.GetPublicAccessBlockInput) (*api.GetPublicAccessBlockOutput, error) {
	b, err := s.read(c, in.Bucket)
	switch {
	case err != nil:
		return nil, err
	case b.Block == nil:
		return nil, fail("NoSuchPublicAccessBlockConfiguration", 404, "The public access block configuration was not found", "BucketName", b.Name)
	}
	return &api.GetPublicAccessBlockOutput{PublicAccessBlockConfiguration: &api.PublicAccessBlockConfiguration{BlockPublicAcls: &b.Block.ACLs,
		IgnorePublicAcls: &b.Block.IgnoreACLs, BlockPublicPolicy: &b.Block.Policy, RestrictPublicBuckets: &b.Block.Restrict}}, nil
}

func (s *Service) putPublicAccessBlock(c *gate.Call, in *api.PutPublicAccessBlockInput) (*api.PutPublicAccessBlockOutput, error) {
	cfg := in.PublicAccessBlockConfiguration
	if cfg == nil {
		return nil, malformedXML()
	}
	return &api.PutPublicAccessBlockOutput{}, s.change(c, in.Bucket, func(b *bucket) error {
		b.Block = &publicBlock{ACLs: wire.Val(cfg.BlockPublicAcls), IgnoreACLs: wire.Val(cfg.IgnorePublicAcls),
			Policy: wire.Val(cfg.BlockPublicPolicy), Restrict: wire.Val(cfg.RestrictPublicBuckets)}
		return nil
	})
}

func (s *Service) deletePublicAccessBlock(c *gate.Call, in *api.DeletePublicAccessBlockInput) (*api.DeletePublicAccessBlockOutput, error) {
	return &api.DeletePublicAccessBlockOutput{}, s.change(c, in.Bucket, func(b *bucket) error {
		b.Block = nil
		return nil
	})
}
