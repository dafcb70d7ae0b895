"""Every way in which cleaning a photo can fail, as one tree of classes.

The class name is a contract: the state machine's ``Retry`` and ``Catch`` match it, and it is the ``reason`` in the
photo's record, manifest and event. ``what_to_do`` is the sentence that people read next.

    CleanplateError
    ├── PhotoRefusedError              known before anything is spent
    │   ├── EmptyPhotoError
    │   ├── NotAPhotoError
    │   ├── TruncatedPhotoError
    │   ├── UnsupportedFormatError
    │   ├── PhotoTooLargeError
    │   ├── PhotoTooSmallError
    │   ├── PhotoGoneError
    │   ├── PhotoReplacedError
    │   ├── ResultKeyTakenError
    │   ├── InvalidOptionsError
    │   ├── InvalidRequestError
    │   │   ├── NoMaskWaitsError
    │   │   ├── OwnOutputError
    │   │   ├── BucketElsewhereError
    │   │   └── LateFolderFileError
    │   ├── KeyTooLongError
    │   ├── UnsupportedByRouteError
    │   ├── OwnMaskUnreadableError
    │   ├── OwnMaskSizeError
    │   └── OwnMaskBlankError
    ├── AdobeError                     what Adobe, or the way to it, answered
    │   ├── CredentialsRefusedError
    │   ├── AccessRefusedError
    │   ├── RequestRefusedError
    │   ├── PromptRefusedError
    │   ├── InputLinkRefusedError
    │   ├── AdobeJobGoneError
    │   ├── AdobeJobFailedError
    │   ├── AnswerUnreadableError
    │   ├── ForeignLinkError
    │   ├── DownloadTooLargeError
    │   ├── DownloadFailedError
    │   ├── RateLimitedError           waits for a slot, does not fail
    │   ├── AdobeUnavailableError      retried with backoff
    │   ├── AnswerLostError            requested once more, after a lease
    │   └── PostOutcomeUnknownError
    ├── PostponedError                 no failure: it is tried again at its ``until``
    │   ├── AskInFlightError
    │   └── LedgerBusyError            nothing was written; the step is repeated
    ├── NotApprovedError               no failure: the run ends with its mask, which somebody has to approve
    ├── NotReadyError                  no failure: the machine waits and then checks again
    ├── NotSentError                   no failure: the machine goes back to sending the fill
    ├── JobMovedOnError                no failure: somebody else has done it
    ├── MaskUnusableError              what Adobe's mask turned out to be
    ├── FillUnusableError              what Adobe's fill turned out to be
    ├── ResultNotEncodedError
    ├── ResultNotSavedError
    ├── NotAnnouncedError              the step is repeated
    ├── AwsUnavailableError            whatever boto3 raises; the step is repeated
    ├── WorkGoneError
    ├── ReviewExpiredError             nobody approved the mask in time
    ├── DeadlinePassedError
    ├── StepTimedOutError
    ├── StepCrashedError
    ├── ExecutionStoppedError
    ├── JobOverdueError
    ├── InquiryError                   requests about a folder or a bucket; ends no photo
    │   ├── UnknownFolderError
    │   ├── BucketRefusedError
    │   ├── InvalidBackfillError
    │   ├── InvalidRetryError
    │   └── WrongConfirmationError
    └── SettingsError                  the stack, not the photo
"""

from __future__ import annotations


class CleanplateError(Exception):
    """Base class of everything that this package raises on purpose."""

    what_to_do = "Look up the job id in the logs, then send the photo again."
    #: True where nothing was wrong with the photo, so that asking again later can succeed.
    retryable = False

    @property
    def reason(self) -> str:
        """Return the class name, which is the reason in record, manifest and event."""
        return type(self).__name__


class PhotoRefusedError(CleanplateError):
    """The photo or its options cannot be worked on; nothing was spent."""

    what_to_do = "Correct the photo or its options and upload it again."


class EmptyPhotoError(PhotoRefusedError):
    """The object has no bytes."""

    what_to_do = "The upload has 0 bytes. Upload the photo again."


class NotAPhotoError(PhotoRefusedError):
    """The bytes are not a picture of any format that can be recognised."""

    what_to_do = "Upload a JPEG, PNG, WebP, TIFF, GIF, JPEG 2000, AVIF or HEIC photo; other files belong elsewhere."


class TruncatedPhotoError(PhotoRefusedError):
    """The picture is cut short or damaged."""

    what_to_do = "The file is cut short or damaged. Export or copy it again from the source and upload it."


class UnsupportedFormatError(PhotoRefusedError):
    """A picture of a kind that cannot be written again without loss."""

    what_to_do = "Export the photo as an 8-bit JPEG, PNG or TIFF and upload that."


class PhotoTooLargeError(PhotoRefusedError):
    """More pixels or bytes than the stack allows, or than its functions have memory for."""

    what_to_do = (
        "Upload a smaller photo, or save it as the message says. Where the message names the stack's limit, raising its "
        "MaxMegapixels or MaxPhotoMegabytes parameter helps too."
    )


class PhotoTooSmallError(PhotoRefusedError):
    """So few pixels that there is nothing to remove."""

    what_to_do = "Upload a photo that is at least 18 pixels on each side."


class PhotoGoneError(PhotoRefusedError):
    """The object was deleted before it was read."""

    what_to_do = "The photo was deleted before it was read. Upload it again if it should be cleaned."


class PhotoReplacedError(PhotoRefusedError):
    """A newer version was uploaded at the same key, or the photo was requested again: that job writes the result."""

    what_to_do = "Nothing: the newer upload, or the later request for it, is cleaned in its own job."


class ResultKeyTakenError(PhotoRefusedError):
    """Another photo's result has the name that this one's would have, such as of ``a.heic`` and ``a.heic.jpg``.

    ``owner`` is that photo, bucket and key.
    """

    what_to_do = "Two photos would get one result. Rename this one, or put it into another folder, and upload it again."

    def __init__(self, message: str, owner: str = "") -> None:
        super().__init__(message)
        self.owner = owner


class InvalidOptionsError(PhotoRefusedError):
    """An option's name or value is not one of the accepted ones."""

    what_to_do = "Correct the option that the message quotes, then upload the photo again."


class InvalidRequestError(PhotoRefusedError):
    """A 'Photo Cleaning Requested' event that cannot be carried out, or a notification that cannot be read."""

    what_to_do = "Correct what the message names and send the event again; docs/events.md shows its fields."


class NoMaskWaitsError(InvalidRequestError):
    """An approval of a photo without a mask that waits for it."""

    what_to_do = "Send the photo with review=true first, and approve it when its event 'Mask Ready' has come."


class OwnOutputError(InvalidRequestError):
    """A result of the stack was copied back into the uploads bucket; it is not cleaned by itself."""

    what_to_do = "To clean it once more, send 'Photo Cleaning Requested', or copy it with --metadata-directive REPLACE."


class BucketElsewhereError(InvalidRequestError):
    """The photo's bucket lies in another region than the stack; S3 and EventBridge send no events across regions."""

    what_to_do = "Use a bucket of the stack's region, or deploy a stack in the bucket's; make doctor compares them."


class LateFolderFileError(InvalidRequestError):
    """A folder's options or mask came after some of its photos; those are left as they are."""

    what_to_do = "To clean earlier photos with it too, upload them again or send 'Photo Cleaning Requested' for each."


class KeyTooLongError(PhotoRefusedError):
    """The key is so long that S3 takes none with the endings of result and manifest."""

    what_to_do = "Give the photo a shorter name: folders and name together may have 1000 bytes."


class UnsupportedByRouteError(PhotoRefusedError):
    """The mask or fill route cannot do what the options ask for."""

    what_to_do = "Choose mask_route=mask-objects, or ask for remove=subject; a prompt needs fill_route=firefly-fill."


class OwnMaskUnreadableError(PhotoRefusedError):
    """The uploader's mask is not a readable picture."""

    what_to_do = "Save the mask as an 8-bit grey PNG, white where the photo is to be filled; then upload both again."


class OwnMaskSizeError(PhotoRefusedError):
    """The uploader's mask has another size than the photo."""

    what_to_do = "Make the mask exactly as wide and high as the upright photo; then upload mask and photo again."


class OwnMaskBlankError(PhotoRefusedError):
    """The uploader's mask is all black or all white."""

    what_to_do = "Paint white what is to go and leave the rest black; then upload mask and photo again."


class PostponedError(CleanplateError):
    """Not now: the message or the machine comes back at ``until``, in seconds since the epoch."""

    what_to_do = "Nothing: the photo waits for a slot."
    retryable = True

    def __init__(self, message: str, until: float) -> None:
        super().__init__(message)
        self.until = until


class AskInFlightError(PostponedError):
    """Another call has sent this POST and may still write its answer; ``until`` is when its lease ends."""

    what_to_do = "Nothing: the other call's answer is waited for."


class LedgerBusyError(PostponedError):
    """Too many callers were at the same records of the Jobs table at once; nothing was written."""

    what_to_do = "Nothing: the step is repeated."


class NotApprovedError(CleanplateError):
    """Somebody has to approve the mask before its fill is paid for."""

    what_to_do = "Nothing: the run ends with its mask, which somebody has to approve."


class NotReadyError(CleanplateError):
    """What the step waits for takes longer than a call; the text is the whole seconds that the state machine waits."""

    what_to_do = "Nothing: the machine waits and asks again."


class NotSentError(CleanplateError):
    """The fill is not at Adobe yet, or has to be sent once more."""

    what_to_do = "Nothing: the state machine goes back to the step that sends it."


class JobMovedOnError(CleanplateError):
    """A write was refused because the job is in another run by now, or has ended."""

    what_to_do = "Nothing: the job's record tells how it went on."


class MaskUnusableError(CleanplateError):
    """Adobe's mask has another size than the photo, is not a picture, or covers all of it."""

    what_to_do = "Adobe's mask cannot be used. Try another mask_route, other labels or a mask of your own."


class FillUnusableError(CleanplateError):
    """Adobe's fill has another size than what was sent, or is not a picture."""

    what_to_do = "Adobe's fill cannot be used. Retry the photo."
    retryable = True


class ResultNotEncodedError(CleanplateError):
    """An encoder refused the finished picture."""

    what_to_do = "The result could not be written in this format. Upload the photo as PNG, or with output_format=png."


class ResultNotSavedError(CleanplateError):
    """The result object is not there, or is not what was written."""

    what_to_do = "The result could not be verified in the results bucket. Check its policy and key, then retry."
    retryable = True


class NotAnnouncedError(CleanplateError):
    """EventBridge did not take an event, or SQS a message; the step is repeated."""

    what_to_do = "The record and the manifest hold the outcome. Check the event bus and its policy, then retry."
    retryable = True


class AwsUnavailableError(CleanplateError):
    """An AWS service refused a call or could not be reached; the step is repeated before the photo fails."""

    what_to_do = "Send it again. If it fails again, see the logs: AWS is not reachable, or a role lacks a permission."
    retryable = True


class WorkGoneError(CleanplateError):
    """What an earlier step stored in the work bucket is no longer there."""

    what_to_do = "The photo waited longer than its intermediate pictures are kept. Retry it."
    retryable = True


class ReviewExpiredError(CleanplateError):
    """Nobody approved the photo's mask within twelve days."""

    what_to_do = "Put the mask from the results bucket beside the photo, and it is filled. A retry pays for a new mask."


class DeadlinePassedError(CleanplateError):
    """Adobe's job, or the wait for a slot, took longer than its deadline."""

    what_to_do = "Adobe did not finish in time. Retry the photo, or raise the stack's deadline parameters."
    retryable = True


class StepTimedOutError(CleanplateError):
    """A function ran into its time limit (``States.Timeout``, ``Sandbox.Timedout``)."""

    what_to_do = "A step took longer than its time limit. Retry; for very large photos raise the function's memory."
    retryable = True


class StepCrashedError(CleanplateError):
    """A function ended with an error that has no name here: a bug of ours, or a fault of the platform."""

    what_to_do = "Look up the job id in the logs. Retry the photo once the cause is repaired."
    retryable = True


class ExecutionStoppedError(CleanplateError):
    """The execution was aborted or reached its own time limit."""

    what_to_do = "The execution was stopped from outside or ran out of time. Retry the photo."
    retryable = True


class JobOverdueError(CleanplateError):
    """No step has recorded anything for the job by the time when it should have ended."""

    what_to_do = "Look up the job id in the logs to see where it stopped. Retry the photo."
    retryable = True


class InquiryError(CleanplateError):
    """A request about a whole folder or bucket cannot be answered or done; no photo has failed."""

    what_to_do = "Correct the request and send it again."


class UnknownFolderError(InquiryError):
    """No photo in this folder has been seen."""

    what_to_do = "Check the folder's name, with upper and lower case; a photo is seen seconds after its upload."


class BucketRefusedError(InquiryError):
    """The stack may not read this bucket, or must not."""

    what_to_do = "Name the bucket in the stack's OtherBucket parameter and deploy again, or correct its name."


class InvalidBackfillError(InquiryError):
    """A backfill's input that cannot be read."""

    what_to_do = "Start it with bucket, prefix and confirm, as docs/using.md shows."


class InvalidRetryError(InquiryError):
    """The input of a retry that cannot be read."""

    what_to_do = "Start it with bucket, prefix, reason and confirm, as docs/operating.md shows."


class WrongConfirmationError(InquiryError):
    """The number that confirms a backfill is not the number of photos that it would clean."""

    what_to_do = "Start the backfill without confirm, look at the estimate, and confirm that."


class SettingsError(CleanplateError):
    """A setting of the stack is missing or has a value that cannot be used."""

    what_to_do = "Correct the stack parameter that the message names and deploy again."
