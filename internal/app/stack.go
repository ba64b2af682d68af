package app

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/bastide-cloud/bastide/internal/app/build"
	"github.com/bastide-cloud/bastide/internal/app/client"
	"github.com/bastide-cloud/bastide/internal/app/pack"
)

// Deployment is what to deploy and how.
type Deployment struct {
	Path        string // a template or its folder
	Stack       string // the folder's name where empty
	Parameters  map[string]string
	Tags        map[string]string
	Once        bool
	Offline     bool     // up fetches no SDK that is missing
	Build       bool     // install what folders depend on
	BuildHosts  []string // hosts that a build may reach beside the registries
	Acknowledge []string // routes to open by name
	Waive       []string // sandbox layers that a build may do without

	builder *build.Builder // while Build is in effect
}

// Stack is a deployed stack as the commands show it.
type Stack struct {
	Name    string            `json:"stack"`
	Status  string            `json:"status"`
	Reason  string            `json:"reason,omitempty"`
	Outputs map[string]string `json:"outputs"`
	Roles   map[string]string `json:"roles"` // logical id → name
	Routes  []Route           `json:"routes"`
	// Local is where the addresses in the outputs answer on this server, by host and by path.
	Local map[string][]string `json:"local,omitempty"`

	id string
}

var notInNames = regexp.MustCompile(`[^A-Za-z0-9-]+`)

// stackName is the name asked for, or the folder's as CloudFormation takes names.
func stackName(path, asked string) (string, error) {
	if asked != "" {
		return asked, nil
	}
	file, err := pack.Find(path)
	if err != nil {
		return "", err
	}
	dir, err := filepath.Abs(filepath.Dir(file))
	if err != nil {
		return "", err
	}
	dir = strings.TrimSuffix(dir, filepath.FromSlash("/.aws-sam/build"))
	name := strings.Trim(notInNames.ReplaceAllString(filepath.Base(dir), "-"), "-")
	if name == "" || name[0] >= '0' && name[0] <= '9' {
		name = "stack-" + name
	}
	return name, nil
}

func (r *Remote) bucket() string {
	return "bastide-artifacts-" + r.run.Account + "-" + r.Region
}

// Deploy packages, uploads and deploys a template and prints what it made.
func (r *Remote) Deploy(ctx context.Context, d Deployment) error {
	facts, err := preflight(ctx, r.data, d, false, r.Term)
	if err != nil {
		return err
	}
	for _, o := range issuersOf(facts, r.run.Issuers) {
		r.Term.Progress("%s", r.Term.paint(yellow, "tokens of "+o+" will be refused: the server was started without --allow-issuer "+o))
	}
	stop, err := r.builder(&d)
	if err != nil {
		return err
	}
	s, _, err := r.deploy(ctx, d)
	if err = errors.Join(err, stop()); err != nil {
		return err
	}
	return r.showStack(s)
}

func (r *Remote) deploy(ctx context.Context, d Deployment) (*Stack, *pack.Package, error) {
	name, err := stackName(d.Path, d.Stack)
	if err != nil {
		return nil, nil, err
	}
	p, err := r.upload(ctx, d)
	if err != nil {
		return nil, nil, err
	}
	in, err := r.stackInput(ctx, name, d, p)
	if err != nil {
		return nil, p, err
	}
	begun := time.Now().Add(-time.Second)
	before, err := r.describe(ctx, name)
	if err != nil {
		return nil, p, err
	}
	if before != nil && slices.Contains([]string{"ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED"}, before.Status) {
		r.Term.Progress("removing what is left of the failed stack %s", name)
		if err := r.remove(ctx, name); err != nil {
			return nil, p, err
		}
		before = nil
	}
	action := "CreateStack"
	if before != nil {
		action = "UpdateStack"
	}
	err = r.cloudFormation(ctx, action, in, nil)
	if client.Is(err, "ValidationError") && strings.Contains(err.Error(), "No updates are to be performed") {
		r.Term.Progress("%s is as the template says", name)
	} else if err != nil {
		return nil, p, fmt.Errorf("%s: %w%s", p.File, err, toGive(err))
	} else if err := r.await(ctx, name, begun); err != nil {
		return nil, p, err
	}
	s, err := r.describe(ctx, name)
	if err != nil {
		return nil, p, err
	}
	for _, route := range d.Acknowledge {
		if err := r.Acknowledge(ctx, Acknowledgement{Route: route, Reason: "bastide up --acknowledge"}); err != nil {
			return nil, p, err
		}
	}
	return s, p, r.complete(ctx, s)
}

var valueless = regexp.MustCompile(`^ValidationError: Parameters: \[([^\]]*)\] must have values`)

// toGive says how to give the parameters that a template wants; "" where the error is another.
func toGive(err error) (hint string) {
	m := valueless.FindStringSubmatch(err.Error())
	if m == nil {
		return ""
	}
	for name := range strings.SplitSeq(m[1], ", ") {
		hint += " -p " + name + "=…"
	}
	return "; give them as" + hint
}

// upload packages the template's code and puts what is new into the artifacts bucket.
func (r *Remote) upload(ctx context.Context, d Deployment) (*pack.Package, error) {
	o := pack.Options{Path: d.Path, Bucket: r.bucket(), Parameters: d.Parameters, Supplies: func(runtime, name string) bool {
		rt, err := catalog(r.data).Resolve(ctx, runtime)
		return err == nil && rt.SDK.Provides(name)
	}}
	if r.data != DefaultData() {
		o.Data = r.data
	}
	o.Image = func(id, file string) (string, error) { return r.loadImage(ctx, id, file) }
	if d.Build {
		o.Build = func(folder, runtime string) (string, error) { return d.builder.Folder(ctx, folder, runtime) }
	}
	p, err := pack.Make(o)
	if err != nil {
		return nil, err
	}
	r.packed = marksOf(d.Path, p)
	if strings.Contains(filepath.ToSlash(p.File), ".aws-sam/build/") {
		r.Term.Progress("deploying what sam build left in %s", filepath.Dir(p.File))
	}
	if err := r.CreateBucket(ctx, r.bucket()); err != nil {
		return nil, fmt.Errorf("the artifacts bucket: %w", err)
	}
	for _, a := range p.Artifacts {
		have, err := r.HeadObject(ctx, r.bucket(), a.Key)
		if err != nil {
			return nil, err
		}
		if !have {
			r.Term.Progress("uploading %s: %s, %d KB", a.LogicalID, a.Source, (len(a.Body)+1023)/1024)
			if err := r.PutObject(ctx, r.bucket(), a.Key, a.Body); err != nil {
				return nil, err
			}
		}
	}
	return p, nil
}

// maxInline is how large a template may be in the request itself, in bytes.
const maxInline = 51200

func (r *Remote) stackInput(ctx context.Context, name string, d Deployment, p *pack.Package) (url.Values, error) {
	in := url.Values{"StackName": {name}}
	for i, c := range []string{"CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"} {
		in.Set(fmt.Sprintf("Capabilities.member.%d", i+1), c)
	}
	for i, k := range sortedNames(d.Parameters) {
		in.Set(fmt.Sprintf("Parameters.member.%d.ParameterKey", i+1), k)
		in.Set(fmt.Sprintf("Parameters.member.%d.ParameterValue", i+1), d.Parameters[k])
	}
	for i, k := range sortedNames(d.Tags) {
		in.Set(fmt.Sprintf("Tags.member.%d.Key", i+1), k)
		in.Set(fmt.Sprintf("Tags.member.%d.Value", i+1), d.Tags[k])
	}
	if len(p.Template) <= maxInline {
		in.Set("TemplateBody", p.Template)
		return in, nil
	}
	key := name + ".template"
	if err := r.PutObject(ctx, r.bucket(), key, []byte(p.Template)); err != nil {
		return nil, err
	}
	in.Set("TemplateURL", r.Endpoint+"/"+r.bucket()+"/"+key)
	return in, nil
}

func sortedNames(m map[string]string) []string {
	names := make([]string, 0, len(m))
	for k := range m {
		names = append(names, k)
	}
	slices.Sort(names)
	return names
}

func (r *Remote) cloudFormation(ctx context.Context, action string, in url.Values, out any) error {
	return r.Query(ctx, "cloudformation", "2010-05-15", action, in, out)
}

// describe is the stack, or nil where there is none.
func (r *Remote) describe(ctx context.Context, name string) (*Stack, error) {
	var out struct {
		Stacks []struct {
			StackId           string
			StackName         string
			StackStatus       string
			StackStatusReason string
			Outputs           []struct{ OutputKey, OutputValue string } `xml:"Outputs>member"`
		} `xml:"DescribeStacksResult>Stacks>member"`
	}
	err := r.cloudFormation(ctx, "DescribeStacks", url.Values{"StackName": {name}}, &out)
	if client.Is(err, "ValidationError") && strings.Contains(err.Error(), "does not exist") {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if len(out.Stacks) == 0 || out.Stacks[0].StackStatus == "DELETE_COMPLETE" {
		return nil, nil
	}
	found := out.Stacks[0]
	s := &Stack{Name: found.StackName, Status: found.StackStatus, Reason: found.StackStatusReason, Outputs: map[string]string{}, id: found.StackId}
	for _, o := range found.Outputs {
		s.Outputs[o.OutputKey] = o.OutputValue
	}
	return s, nil
}

type stackEvent struct {
	EventId, LogicalResourceId, PhysicalResourceId, ResourceType, ResourceStatus, ResourceStatusReason string
	Timestamp                                                                                          time.Time
}

// await shows a stack's events until it has come to rest; one that failed is an error.
func (r *Remote) await(ctx context.Context, name string, begun time.Time) error {
	seen := map[string]bool{}
	var failures []string
	for {
		s, err := r.describe(ctx, name)
		if err != nil {
			return err
		}
		events, err := r.events(ctx, name, begun)
		if err != nil {
			return err
		}
		for _, e := range events {
			if seen[e.EventId] {
				continue
			}
			seen[e.EventId] = true
			r.event(e)
			if strings.HasSuffix(e.ResourceStatus, "_FAILED") && e.ResourceStatusReason != "" && !strings.Contains(e.ResourceStatusReason, "cancelled") {
				failures = append(failures, fmt.Sprintf("%s (%s): %s", e.LogicalResourceId, e.ResourceType, e.ResourceStatusReason))
			}
		}
		if s != nil && !strings.HasSuffix(s.Status, "_IN_PROGRESS") {
			if s.Status == "CREATE_COMPLETE" || s.Status == "UPDATE_COMPLETE" {
				return nil
			}
			if len(failures) == 0 {
				failures = append(failures, s.Reason)
			}
			return fmt.Errorf("%s is %s\n  %s", name, s.Status, strings.Join(failures, "\n  "))
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w; the deployment of %s goes on without being watched", context.Cause(ctx), name)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func (r *Remote) events(ctx context.Context, name string, begun time.Time) ([]stackEvent, error) {
	var out struct {
		Events []stackEvent `xml:"DescribeStackEventsResult>StackEvents>member"`
	}
	if err := r.cloudFormation(ctx, "DescribeStackEvents", url.Values{"StackName": {name}}, &out); err != nil {
		return nil, err
	}
	slices.Reverse(out.Events) // newest first, as CloudFormation gives them
	return slices.DeleteFunc(out.Events, func(e stackEvent) bool { return e.Timestamp.Before(begun) }), nil
}

func (r *Remote) event(e stackEvent) {
	if strings.HasSuffix(e.ResourceStatus, "_IN_PROGRESS") && e.ResourceType != "AWS::CloudFormation::Stack" {
		return // its end comes soon
	}
	colour := faint
	switch {
	case strings.HasSuffix(e.ResourceStatus, "_COMPLETE"):
		colour = green
	case strings.HasSuffix(e.ResourceStatus, "_FAILED"):
		colour = red
	}
	line := fmt.Sprintf("%s %-40s %s", r.Term.paint(colour, fmt.Sprintf("%-20s", e.ResourceStatus)), e.ResourceType, e.LogicalResourceId)
	if e.ResourceStatusReason != "" {
		line += "  " + plain(e.ResourceStatusReason)
	}
	r.Term.Progress("%s", line)
}

// complete adds what a stack's description does not have: its roles and its routes.
func (r *Remote) complete(ctx context.Context, s *Stack) error {
	var out struct {
		Resources []struct{ LogicalResourceId, PhysicalResourceId, ResourceType string } `xml:"DescribeStackResourcesResult>StackResources>member"`
	}
	if err := r.cloudFormation(ctx, "DescribeStackResources", url.Values{"StackName": {s.Name}}, &out); err != nil {
		return err
	}
	s.Roles, s.Routes = map[string]string{}, []Route{}
	routes, err := r.Routes(ctx)
	if err != nil {
		return err
	}
	for _, res := range out.Resources {
		switch res.ResourceType {
		case "AWS::IAM::Role":
			s.Roles[res.LogicalResourceId] = res.PhysicalResourceId
		case "AWS::ApiGatewayV2::Api", "AWS::ApiGateway::RestApi":
			for _, route := range routes {
				if strings.HasPrefix(route.Route, res.PhysicalResourceId+" ") {
					s.Routes = append(s.Routes, route)
				}
			}
		case "AWS::Lambda::Url": // known by the ARN of its function
			for _, route := range routes {
				if route.Target == res.PhysicalResourceId && strings.Contains(route.Url, ".lambda-url.") {
					s.Routes = append(s.Routes, route)
				}
			}
		}
	}
	s.Local = map[string][]string{}
	for k, v := range s.Outputs {
		if local := localAddresses(v, s.Routes); len(local) > 0 {
			s.Local[k] = local
		}
	}
	return nil
}

// showStack prints what a deployment made.
func (r *Remote) showStack(s *Stack) error {
	if r.Term.JSON {
		return r.Term.Print(s)
	}
	var lines []string
	lines = append(lines, r.Term.paint(bold, s.Name)+" "+r.Term.paint(green, s.Status))
	for _, k := range sortedNames(s.Outputs) {
		lines = append(lines, fmt.Sprintf("  %s = %s", k, s.Outputs[k]))
		for _, u := range s.Local[k] {
			lines = append(lines, "    here "+u)
		}
	}
	for _, k := range sortedNames(s.Roles) {
		lines = append(lines, fmt.Sprintf("  role of %s: %s", strings.TrimSuffix(k, "Role"), s.Roles[k]))
	}
	for _, route := range s.Routes {
		state := route.Authorization
		if route.Authorization == "NONE" {
			state = r.Term.paint(yellow, "no authorisation: answers this machine only until acknowledged")
			if route.Acknowledged {
				state = r.Term.paint(yellow, "no authorisation, acknowledged")
			}
		}
		lines = append(lines, fmt.Sprintf("  %s  %s", route.Route, state))
		for _, u := range strings.Fields(route.Url) {
			lines = append(lines, "    "+u)
		}
	}
	return r.Term.Line("%s", strings.Join(lines, "\n"))
}

// remove deletes a stack and waits until it is gone.
func (r *Remote) remove(ctx context.Context, name string) error {
	if err := r.cloudFormation(ctx, "DeleteStack", url.Values{"StackName": {name}}, nil); err != nil {
		return err
	}
	for {
		s, err := r.describe(ctx, name)
		if err != nil || s == nil {
			return err
		}
		if s.Status != "DELETE_IN_PROGRESS" { // failed, or cancelled: then the status is what it was
			return fmt.Errorf("%s could not be deleted: %s", name, s.Reason)
		}
		select {
		case <-ctx.Done():
			return errors.New("the deletion goes on without being watched")
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// Down deletes an application's stack.
func (r *Remote) Down(ctx context.Context, path, asked string) error {
	name, err := stackName(path, asked)
	if err != nil {
		return err
	}
	s, err := r.describe(ctx, name)
	if err != nil {
		return err
	}
	if s == nil {
		return fmt.Errorf("there is no stack %s", name)
	}
	if err := r.remove(ctx, name); err != nil {
		return err
	}
	return r.Term.Line("%s is deleted", name)
}
